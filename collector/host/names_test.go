package host

import (
	"fmt"
	"testing"
)

func TestNames(t *testing.T) {
	asked := map[string]int{}
	n := names{skip: []string{"lo", "veth*"}, omit: func(name string) bool {
		asked[name]++
		return name == "sda1"
	}}
	f := func(name string, want bool) {
		t.Helper()
		for range 3 {
			if got, keep := n.keep([]byte(name)); got != name || keep != want {
				t.Errorf("keep(%q) = %q, %v; want %v", name, got, keep, want)
			}
		}
	}
	f("lo", false)
	f("lo1", true)
	f("veth1a2b", false)
	f("sda", true)
	f("sda1", false)
	if asked["sda"] != 1 || asked["sda1"] != 1 || asked["lo"] != 0 {
		t.Errorf("asked %v, want once for each name that no glob matches", asked)
	}
	none := names{}
	if got, keep := none.keep([]byte("sda1")); got != "sda1" || !keep {
		t.Errorf("without globs: %q, %v", got, keep)
	}
}

func TestNamesAreBounded(t *testing.T) {
	n := names{}
	for i := range 5 * maxNames {
		n.keep(fmt.Append(nil, "veth", i))
	}
	if len(n.known) > maxNames {
		t.Errorf("%d names remembered, want %d at most", len(n.known), maxNames)
	}
}
