// Package operator reads what the operator of a host asks for: files of policies and groups, which count for containers
// without anybody creating them anew.
//
//	/etc/dockerwall/policy.d/*.yaml ─> Load ─> Policies ─> reconcile
//	groups shipped with the program ──┘
package operator
