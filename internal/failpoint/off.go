//go:build !failpoint

package failpoint

// Active reports whether a failpoint is active: never.
func Active(string) bool { return false }

// Die kills this process when a failpoint is active: never.
func Die(string) {}
