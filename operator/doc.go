// Package operator reads what the operator of a host asks for: policy files and groups, which count for containers
// without anybody creating them anew.
//
//	/etc/dockerwall/policy.d/*.yaml ─> Load ─> Policies ─> reconcile
//	groups shipped with the program ──┘
package operator
