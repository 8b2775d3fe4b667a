package munin

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/plugin"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"one", "one/folder", "two"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"one/load", "one/.hidden", "one/old.bak", "one/a.conf", "one/with blank", "two/load", "two/if_"} {
		write(name, 0o700)
	}
	write("one/plain", 0o600)
	for name, to := range map[string]string{"one/if_eth0": "../two/if_", "one/broken": "nowhere", "one/a.b-c@d:e": "load"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	f := func(plugins, exclude, want []string, fault string) {
		t.Helper()
		cfg := Config{Exclude: exclude}
		for _, p := range plugins {
			cfg.Plugins = append(cfg.Plugins, filepath.Join(dir, p))
		}
		got, err := find(cfg)
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], dir+"/")
		}
		if !slices.Equal(got, want) || (err == nil) != (fault == "") || err != nil && !strings.Contains(err.Error(), fault) {
			t.Errorf("%q without %q: %q, %v; want %q, %s", plugins, exclude, got, err, want, fault)
		}
	}
	f([]string{"one"}, nil, []string{"one/a.b-c@d:e", "one/if_eth0", "one/load"}, "")
	f([]string{"one"}, []string{"if_*", "load"}, []string{"one/a.b-c@d:e"}, "")
	f([]string{"two/load", "one"}, plugin.Strings{"a*"}, []string{"one/if_eth0", "two/load"}, "") // the first load counts
	f([]string{"one/if_*", "two/if_"}, nil, []string{"two/if_", "one/if_eth0"}, "")
	f([]string{"one/plain"}, nil, []string{"one/plain"}, "") // who names it is told that it cannot be run
	f([]string{"none", "two"}, nil, []string{"two/if_", "two/load"}, "none\": no file or folder is called so")
	f([]string{"one/broken", "two/if_"}, nil, []string{"two/if_"}, "broken")
}
