package host

import "testing"

func TestParseMeminfo(t *testing.T) {
	keys := []string{"MemTotal", "MemFree"}
	var got [2]count
	if err := parseMeminfo([]byte("MemTotal: 4 kB\nMemFree: 1 kB\n"), keys, got[:]); err != nil || got != [2]count{{4096, true}, {1024, true}} {
		t.Errorf("meminfo = %v, %v; want 4096 and 1024", got, err)
	}
	if err := parseMeminfo([]byte("MemFree: 1 kB\n"), keys, got[:]); err == nil || err.Error() != "no line MemTotal" {
		t.Errorf("meminfo without MemTotal: %v", err)
	}
}

func TestEstimateAvailable(t *testing.T) {
	f := func(total, free, buffers, cached, reclaimable, shared, want uint64) {
		t.Helper()
		c := make([]count, len(memKeys()))
		c[memTotal], c[memFree], c[memBuffers], c[memCached] = count{total, true}, count{free, true}, count{buffers, true}, count{cached, true}
		c[memReclaimable], c[memShared] = count{reclaimable, true}, count{shared, true}
		if estimateAvailable(c); c[memAvailable] != (count{want, true}) {
			t.Errorf("available = %v, want %d", c[memAvailable], want)
		}
	}
	f(1000, 100, 10, 300, 20, 30, 400)
	f(1000, 100, 0, 50, 0, 90, 100)  // more shared than cached
	f(1000, 900, 0, 300, 0, 0, 1000) // read while it changed
	told := make([]count, len(memKeys()))
	told[memTotal], told[memAvailable] = count{1000, true}, count{7, true}
	if estimateAvailable(told); told[memAvailable].n != 7 {
		t.Errorf("available = %d, want what the kernel told", told[memAvailable].n)
	}
}

// The keys stand in the order of the fields, so the tables must be as long as each other.
func TestMemKeys(t *testing.T) {
	if fields := memSeries().fields; len(fields) != len(memKeys())+3 || fields[len(fields)-3].name != "used" {
		t.Errorf("%d fields for %d keys", len(fields), len(memKeys()))
	}
	for i, want := range map[int]string{memAvailable: "MemAvailable", memFree: "MemFree", memBuffers: "Buffers",
		memCached: "Cached", memReclaimable: "SReclaimable", memShared: "Shmem"} {
		if got := memKeys()[i]; got != want {
			t.Errorf("key %d is %s, want %s", i, got, want)
		}
	}
}
