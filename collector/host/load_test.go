package host

import "testing"

func TestParseLoad(t *testing.T) {
	f := func(text string, want [3]float64) {
		t.Helper()
		if got, err := parseLoad([]byte(text)); err != nil || got != want {
			t.Errorf("parseLoad(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	f("0.20 0.50 0.10 1/100 42\n", [3]float64{0.2, 0.5, 0.1})
	f("12 0 0", [3]float64{12, 0, 0})
	for text, want := range map[string]string{
		"":            `line 1: average 1: want a number, got ""`,
		"1 2":         `line 1: average 3: want a number, got ""`,
		"1 -2 3":      `line 1: average 2: want a number, got "-2"`,
		"1 infinity ": `line 1: average 2: want a number, got "infinity"`,
	} {
		if _, err := parseLoad([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("parseLoad(%q): %v, want %s", text, err, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	seeds(f, "*/proc/loadavg", "0x1p2 1_0 3")
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := parseLoad(text)
		checkPlaced(t, err)
	})
}

func TestParseCPUList(t *testing.T) {
	f := func(text string, want uint64) {
		t.Helper()
		if got, err := parseCPUList([]byte(text)); err != nil || got != want {
			t.Errorf("parseCPUList(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	f("0\n", 1)
	f("0-3\n", 4)
	f("0-3,8,10-11", 7)
	for _, text := range []string{"", "\n", "a", "3-1", "0-", "-3", "0,,1", "0-99999999", "0-18446744073709551615"} {
		got, err := parseCPUList([]byte(text))
		if err == nil {
			t.Errorf("parseCPUList(%q) = %d, want an error", text, got)
		}
		checkPlaced(t, err)
	}
}

func FuzzCPUList(f *testing.F) {
	seeds(f, "*/sys/devices/system/cpu/online", "0-3,8", "3-1")
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := parseCPUList(text)
		checkPlaced(t, err)
		if err == nil && n == 0 {
			t.Errorf("parseCPUList(%q) = 0", text)
		}
	})
}
