package telemetry

import "testing"

func TestRequestArguments(t *testing.T) {
	r := CtlRequest{Args: map[string]any{"name": "web", "i": int64(-3), "u": uint64(1 << 63), "f": 7.0, "far": -1e300}}
	if r.Text("name") != "web" || r.Text("i") != "" || r.Text("none") != "" {
		t.Errorf("texts %q %q %q", r.Text("name"), r.Text("i"), r.Text("none"))
	}
	f := func(key string, want int64, is bool) {
		t.Helper()
		if n, ok := r.Number(key); n != want || ok != is {
			t.Errorf("%s is %d, %v; want %d, %v", key, n, ok, want, is)
		}
	}
	f("i", -3, true)
	f("u", 1<<62, true)
	f("f", 7, true)
	f("far", -1<<62, true)
	f("name", 0, false)
	f("none", 0, false)
}
