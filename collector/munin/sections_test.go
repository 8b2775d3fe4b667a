package munin

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSections(t *testing.T) {
	all := sections{}
	err := all.parse(`
# what many have
[*]
user nobody            # not root
env.everywhere yes
timeout 60

[if_*]
env.mode short
host_name none
[if_err_*]
	env.mode	long
[*_eth0]
env.mode end
env.card eth0
update_rate 300
[if_eth0]
user root
group adm, (munin) backup
env.color \#ff0000
env.empty_is_no value = a b
command sudo -u\ admin nice %c
disable_autoconf true
`)
	if err != nil {
		t.Fatal(err)
	}
	f := func(plugin, want string) {
		t.Helper()
		s := all.of(plugin)
		if got := fmt.Sprint(s.user, s.groups, s.host, s.timeout, s.interval, s.env); got != want {
			t.Errorf("%s: %s, want %s", plugin, got, want)
		}
	}
	f("load", "nobody[]1m0s 0s map[everywhere:yes]")
	f("if_lo", "nobody[]none1m0s 0s map[everywhere:yes mode:short]")
	f("if_err_lo", "nobody[]none1m0s 0s map[everywhere:yes mode:long]")
	f("if_err_eth0", "nobody[]none1m0s 5m0s map[card:eth0 everywhere:yes mode:long]")
	f("if_eth0", "root[adm (munin) backup]none1m0s 5m0s map[card:eth0 color:#ff0000 empty_is_no:value = a b everywhere:yes mode:short]")
	if got := all.of("if_eth0").command; !slices.Equal(got, []string{"sudo", "-u admin", "nice", "%c"}) {
		t.Errorf("command %q", got)
	}
	if s := sections(nil).of("load"); s.user != "" || len(s.env) > 0 {
		t.Errorf("%+v", s)
	}
}

// Of a file with a fault that counts which is before it.
func TestBadSections(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		all := sections{}
		err := all.parse("[a]\nuser daemon\n" + text + "\nuser root\n")
		if err == nil || !strings.HasPrefix(err.Error(), "line 3: "+want) || all.of("a").user != "daemon" {
			t.Errorf("%q: %v, %q; want %s", text, err, all.of("a").user, want)
		}
	}
	f("user", `"user": want a word and a value`)
	f("password secret", `"password": want user, group, command, host_name, timeout, update_rate or env.NAME`)
	f("env. x", `"env."`)
	f("env A=b", `"env"`)
	f("timeout 1m", `timeout: "1m": want seconds, 1 or more`)
	f("update_rate 0", `update_rate: "0": want seconds, 1 or more`)
	f("[]", `"[]": want a word and a value`)
	if err := (sections{}).parse("user root\n"); err == nil || err.Error() != `line 1: "user root" stands before the first [plugin]` {
		t.Error(err)
	}
}

// Files are read by name; what editors leave is none. What of one cannot be read does not concern the others.
func TestReadSections(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "[p]\nuser first\nenv.a 1\n[q]\nuser q\n")
	write("b", "[p]\nuser second\nbad\nuser third\n")
	for _, name := range []string{".b", "c~", "c.bak", "c.dpkg-old", "c.rpmsave", "c (copy)"} {
		write(name, "[p]\nuser "+"nobody\n")
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	all, err := readSections(dir)
	if s := all.of("p"); s.user != "second" || s.env["a"] != "1" || all.of("q").user != "q" {
		t.Errorf("%+v", s)
	}
	if err == nil || err.Error() != "conf: "+filepath.Join(dir, "b")+`: line 3: "bad": want a word and a value` {
		t.Error(err)
	}
	for _, dir := range []string{"", filepath.Join(dir, "none")} {
		if all, err := readSections(dir); len(all) > 0 || err != nil {
			t.Errorf("%q: %v, %v", dir, all, err)
		}
	}
	if _, err := readSections(filepath.Join(dir, "a")); err == nil || !strings.HasPrefix(err.Error(), "conf: ") {
		t.Error(err)
	}
}

func TestWords(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		if got := words(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	f("")
	f("  \t")
	f("a", "a")
	f(" a \t b ", "a", "b")
	f(`a\ b \\ c\`, "a b", `\`, `c\`)
}

func TestExisting(t *testing.T) {
	if got := existing([]string{"adm", "(no-such-group-anywhere)", "also-none"}); !slices.Equal(got, []string{"adm", "also-none"}) {
		t.Errorf("%q", got)
	}
	g, err := user.LookupGroupId("0")
	if err != nil {
		t.Skip("this machine has no group 0:", err)
	}
	if got := existing([]string{"(" + g.Name + ")"}); !slices.Equal(got, []string{g.Name}) {
		t.Errorf("%q", got)
	}
}

// Whatever a file says, what is read of it is about something.
func FuzzSections(f *testing.F) {
	f.Fuzz(func(t *testing.T, text, plugin string) {
		all := sections{}
		err := all.parse(text)
		s := all.of(plugin)
		if s.timeout < 0 || s.interval < 0 || err == nil && len(all) == 0 && len(s.env) > 0 {
			t.Errorf("%+v, %v", s, err)
		}
		for name := range s.env {
			if name == "" {
				t.Errorf("%+v", s)
			}
		}
		for _, word := range s.command {
			if word == "" && !strings.Contains(text, `\`) {
				t.Errorf("%q", s.command)
			}
		}
	})
}
