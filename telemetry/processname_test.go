package telemetry

import "testing"

func TestProcessName(t *testing.T) {
	f := func(plugin string, n int, want string) {
		t.Helper()
		if got := ProcessName(plugin, n); got != want {
			t.Errorf("ProcessName(%q, %d) = %q, want %q", plugin, n, got, want)
		}
	}
	f("hot", 1, "hot")
	f("hot", 2, "hot.2")
	f("hot", 1000, "hot.1000")
}

func TestPluginOf(t *testing.T) {
	f := func(name, plugin string, n int) {
		t.Helper()
		if p, got := PluginOf(name); p != plugin || got != n {
			t.Errorf("PluginOf(%q) = %q, %d; want %q, %d", name, p, got, plugin, n)
		}
	}
	f("hot", "hot", 0)
	f("hot.1", "hot", 1)
	f("hot.12", "hot", 12)
	f("hot.0", "hot.0", 0)
	f("hot.02", "hot.02", 0)
	f("hot.-2", "hot.-2", 0)
	f("hot.x", "hot.x", 0)
	f("hot.", "hot.", 0)
	f("", "", 0)
}
