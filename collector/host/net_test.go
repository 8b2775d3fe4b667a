package host

import (
	"strings"
	"testing"
)

const headings = "Inter-| Receive | Transmit\n face |bytes |bytes\n"

func TestParseNetDev(t *testing.T) {
	f := func(line, wantName string, wantRecv, wantSent uint64) {
		t.Helper()
		found := 0
		err := parseNetDev([]byte(headings+line+"\n\n"), func(name []byte, n traffic) {
			found++
			if string(name) != wantName || n[0] != wantRecv || n[8] != wantSent {
				t.Errorf("%q: %q, %d and %d bytes; want %q, %d and %d", line, name, n[0], n[8], wantName, wantRecv, wantSent)
			}
		})
		if err != nil || found != 1 {
			t.Errorf("%q: %d interfaces, %v", line, found, err)
		}
	}
	f("  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "eth0", 1, 9)
	f("eth0:91827364519283 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "eth0", 91827364519283, 9)
	f("eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "eth0:1", 1, 9)
	f("eth0.100@eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "eth0.100@eth0", 1, 9)
	for line, want := range map[string]string{
		"eth0 1 2":  "line 3: want an interface and a colon",
		"eth0: 1 2": "line 3: eth0: want 16 numbers, got 2",
		"eth0: 1 -": `line 3: eth0: want a number, got "-"`,
	} {
		if err := parseNetDev([]byte(headings+line), func([]byte, traffic) {}); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
}

func FuzzNetDev(f *testing.F) {
	seeds(f, "*/proc/self/net/dev", headings+":", headings+"a:b:1")
	f.Fuzz(func(t *testing.T, text []byte) {
		checkPlaced(t, parseNetDev(text, func(name []byte, _ traffic) {
			if strings.ContainsAny(string(name), "\n") {
				t.Errorf("interface %q", name)
			}
		}))
	})
}
