package child

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestEnvironOf(t *testing.T) {
	me, err := lookUp(fmt.Sprint(os.Geteuid()))
	if err != nil {
		t.Skipf("this machine does not know the user of the test: %v", err)
	}
	own := []string{"PATH=/bin", "HOME=/nowhere", "PACEWIRE_CREDS=/secret", "LC_ALL=de_DE"}
	for _, name := range []string{"", me.Uid, me.Username} {
		got, err := EnvironOf(own, name, map[string]string{"B": "2", "A": "x=y"})
		want := []string{"PATH=/bin", "HOME=/nowhere", locale, "HOME=" + me.HomeDir, "USER=" + me.Username, "LOGNAME=" + me.Username, "A=x=y", "B=2"}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := EnvironOf(own, "nobody-is-called-so", nil); err == nil || !strings.Contains(err.Error(), "name one that it has") {
		t.Errorf("%v", err)
	}
}

func TestCheckVariables(t *testing.T) {
	f := func(name, value, says string) {
		t.Helper()
		err := CheckVariables(map[string]string{"GOOD": "a = b", name: value})
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %v, want %q", name, err, says)
		}
	}
	f("a", "", "")
	f("", "x", `environment ""`)
	f("A=B", "x", `environment "A=B"`)
	f("PACEWIRE_BUS", "x", "does not begin with PACEWIRE_")
	f("A", "x\x00", "environment A: has a NUL")
}
