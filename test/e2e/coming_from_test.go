package e2e

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// comingFrom are the configs of the page for those who have something else, each by its heading.
func comingFrom(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/coming-from.md")
	if err != nil {
		t.Fatal(err)
	}
	configs := map[string]string{}
	for _, part := range strings.Split(string(page), "\n## ")[1:] {
		heading, text, _ := strings.Cut(part, "\n")
		_, config, _ := strings.Cut(text, "```yaml\n")
		configs[heading], _, _ = strings.Cut(config, "```")
		if n := strings.Count(text, "```yaml"); n != 1 {
			t.Errorf("%s has %d configs, want one", heading, n)
		}
	}
	if len(configs) != 7 {
		t.Errorf("%d origins, want 7", len(configs))
	}
	return configs
}

// Each config of the page is good, and there is nothing to warn of.
func TestComingFromConfigs(t *testing.T) {
	t.Parallel()
	for heading, config := range comingFrom(t) {
		p := newPlace(t)
		if r := p.verb("validate", p.write("pacewire.yaml", config)); r.code != 0 || r.err != "" {
			t.Errorf("%s: exit code %d\n%s", heading, r.code, r.err)
		}
	}
}

// The one for Telegraf, which needs no more than a shell, does what the page says: its programs collect, process and publish.
func TestComingFromTelegraf(t *testing.T) {
	t.Parallel()
	s := up(t, comingFrom(t)["Telegraf"])
	f := func(file, point string) {
		t.Helper()
		want := regexp.MustCompile(point)
		s.await(readyWithin, point+" in "+file, func() bool { return slices.ContainsFunc(lines(t, s.path(file)), want.MatchString) })
	}
	f("copy.lp", `^queue,dc=ams,host=[^,]+,name=m length=3i \d+$`)
	f("telegraf.lp", `^tmp,dc=ams,host=[^,]+ files=\d+i \d+$`)
	f("telegraf.lp", `^mem,dc=ams,host=`)
	s.drain()
}
