// Package confine takes from this process what it does not need: files that it never opens, programs that it never
// starts, ports that it never connects to. It holds for all threads and for good. The kernel's part is Landlock
// (landlock(7), Linux 5.13), which knows files by where they are, so that what comes to be in a directory later counts
// as what is there now. A kernel that knows less of it confines less, and one without it nothing.
package confine
