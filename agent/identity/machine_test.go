package identity

import (
	"slices"
	"strings"
	"testing"
)

func TestProbe(t *testing.T) {
	m := Probe("testdata/web-1")
	want := Machine{
		ID:   digest("machine-id", "2fb8a5b1d1c54ad3a1b2c3d4e5f60718"),
		DMI:  digest("dmi", "4c4c4544-0051-3610-8052-b4c04f4e3532"),
		MACs: digest("macs", "52-54-00-12-34-56 52-54-00-12-34-57"),
	}
	if m != want || m.check() != nil {
		t.Errorf("%+v, want %+v", m, want)
	}
	for _, fact := range m.facts() {
		if strings.Contains(fact, "2fb8") || len(fact) != digestSize {
			t.Errorf("%q is no digest", fact)
		}
	}
	if m := Probe("testdata/bare"); m != (Machine{}) {
		t.Errorf("a machine without facts has %+v", m)
	}
	if m := Probe("testdata/none"); m != (Machine{}) {
		t.Errorf("no machine has %+v", m)
	}
	if m := Probe("/"); m.check() != nil {
		t.Errorf("this machine: %+v", m)
	}
}

func TestParseID(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := parseID(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	f("2FB8\n", "2fb8")
	f("", "")
	f("\n", "")
	f("uninitialized\n", "")
	f("00-00-00-00-00-00\n", "")
	f("ffffffff-ffff-ffff-ffff-ffffffffffff", "")
	f("03000200-0400-0500-0006-000700080009", "")
}

// A card that is plugged elsewhere is the same card, and what is no card does not count.
func TestAddresses(t *testing.T) {
	if got := addresses("testdata/web-1/sys/class/net"); !slices.Equal(got, []string{"52-54-00-12-34-56", "52-54-00-12-34-57"}) {
		t.Errorf("%q", got)
	}
}
