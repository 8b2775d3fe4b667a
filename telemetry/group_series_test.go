package telemetry

import (
	"fmt"
	"hash/maphash"
	"slices"
	"testing"
	"time"
)

// hashes returns the hashes of all points of b.
func hashes(b *Batch, seed maphash.Seed) (all []uint64) {
	for g := range b.Groups() {
		all = g.SeriesHashes(seed, all)
	}
	return all
}

// TestSeriesHashesAgree checks that a hash tells series apart, and nothing else: not where or how a tag is held.
func TestSeriesHashesAgree(t *testing.T) {
	seed := maphash.MakeSeed()
	point := func(series string, tags Tags) uint64 {
		var b Batch
		b.Add(series, Fields{"v": 1}, tags)
		return hashes(&b, seed)[0]
	}
	f := func(text string, want ...uint64) {
		t.Helper()
		var b Batch
		if err := b.DecodeJSON([]byte(text), time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := hashes(&b, seed); !slices.Equal(got, want) {
			t.Errorf("%s: hashes %x, want %x", text, got, want)
		}
		var same Batch // as columns of another form
		if err := same.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil {
			t.Fatal(err)
		}
		if got := hashes(&same, seed); !slices.Equal(got, want) {
			t.Errorf("%s: hashes %x after encoding, want %x", text, got, want)
		}
	}
	ab, a, b := point("s", Tags{"a": "1", "b": "2"}), point("s", Tags{"a": "1"}), point("s", Tags{"b": "2"})
	f(`[1,1000000000,0,{"a":"1"},[["s",{"b":"2"},[],["v"],"i",[[0,1],[5,2]]]]]`, ab, ab)
	f(`[1,1000000000,0,{},[["s",{},["b","a"],["v"],"i",[[0,"2","1",1],[0,"2","",1],[0,null,"1",1]]]]]`, ab, b, a)
	f(`[1,1000000000,0,{"a":"9"},[["s",{"a":"1"},["b"],["v"],"i",[[0,"2",1],[0,"",1]]]]]`, ab, a)
	f(`[1,1000000000,0,{"b":"2"},[["s",{},["a","b"],["v"],"i",[[0,"1","",1],[0,"1","2",2]]]]]`, ab, ab)

	distinct := map[uint64]string{}
	for _, series := range []string{"s", "t"} {
		for _, tags := range []Tags{nil, {"a": "1"}, {"a": "2"}, {"b": "1"}, {"b": "2"}, {"a": "1", "b": "2"}, {"a": "2", "b": "1"}, {"ab": "12"}} {
			h := point(series, tags)
			if other := distinct[h]; other != "" {
				t.Errorf("%s %v has the hash of %s", series, tags, other)
			}
			distinct[h] = fmt.Sprint(series, tags)
		}
	}
}

// TestSeriesHashesOfManyTexts checks columns whose dictionary is wide, and those that are no dictionary any more.
func TestSeriesHashesOfManyTexts(t *testing.T) {
	seed := maphash.MakeSeed()
	for _, n := range []int{10, 300, 5000} {
		var b, c Batch
		for i := range 2 * n {
			b.Add("s", Fields{"v": i}, Tags{"id": fmt.Sprint(i % n), "zone": "z"})
		}
		if err := c.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil {
			t.Fatal(err)
		}
		all := hashes(&b, seed)
		distinct := map[uint64]bool{}
		for _, h := range all {
			distinct[h] = true
		}
		if len(all) != 2*n || len(distinct) != n || !slices.Equal(all, hashes(&c, seed)) {
			t.Errorf("%d points of %d series have %d hashes", len(all), n, len(distinct))
		}
	}
}

func BenchmarkSeriesHashes(b *testing.B) {
	f := func(name string, tag func(i int) string) {
		b.Run(name, func(b *testing.B) {
			var batch Batch
			for i := range 1000 {
				batch.Add("cpu", Fields{"usage": float64(i)}, Tags{"host": fmt.Sprint(i % 10), "cpu": fmt.Sprint(i % 64), "zone": "a", "id": tag(i)})
			}
			seed, buf := maphash.MakeSeed(), make([]uint64, 0, 1000)
			b.ReportAllocs()
			for b.Loop() {
				for g := range batch.Groups() {
					buf = g.SeriesHashes(seed, buf[:0])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/point")
		})
	}
	f("few", func(i int) string { return fmt.Sprint(i % 5) })
	f("many", func(i int) string { return fmt.Sprintf("container-%d", i) })
}
