package lines

import "testing"

func TestParseSize(t *testing.T) {
	f := func(text string, want int64) {
		t.Helper()
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	f("", 0)
	f("1B", 1)
	f("500 KB", 500e3)
	f("64MiB", 64<<20)
	f("1.5GiB", 3<<29)
	f("2TB", 2e12)

	bad := func(text string) {
		t.Helper()
		if got, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", text, got)
		}
	}
	bad("64")
	bad("64M")
	bad("64mib")
	bad("64iB")
	bad("0MiB")
	bad("-1MiB")
	bad("MiB")
	bad("0.5B")
	bad("NaNB")
	bad("InfB")
	bad("9999999TiB")
	bad("1 000MB")
}
