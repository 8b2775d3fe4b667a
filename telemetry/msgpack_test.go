package telemetry

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// exampleA and the others are the examples of the wire, section 4.
const (
	exampleA = "9501cd03e8cf000643f2b3165cb0809196a46c6f6164809091a36f6e65a166919200cb3fe0000000000000"
	exampleB = "9501cd03e8cf000643f2b3165cb081a4686f7374a57765622d319296a363707581a26463a2657591a363707592a475736572a3637478a26669" +
		"929400a463707530cb40290000000000000794d1ff06a463707531c0d1ff7f96a470726f63809093a3727373a27570a57374617465a3756273" +
		"919403cfffffffffffffffffc3a153"
	exampleC = "950101cf18796c0b8f5a1234809196a47370616e809091a164a16992920051920152"
	exampleF = "9501cd03e8cf000643f2b3165cb0909196a46c6f6164c08091a36f6e65a166919200cb3fe0000000000000"
	exampleG = "9501cd03e8cf000643f2b3165cb0809196a36c6174809092a16ea168a2696891930003920102"
	exampleH = "9501cd03e8cf000643f2b3165cb081a4686f7374a57765622d319196a36370758091a363707594a475736572a3637478a27570a57374617465a466" +
		"6962739703c4030000f69292a463707530a463707531c403000100c4180000000000002940000000000000d03f000000000000f0bfc40607007fff2c01c393a153c0a152"
	exampleI = "9501ce3b9aca00ce691dc865809196a1748091a16191a178a166940200a17a01"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// show writes every point as one line, tags and fields sorted, so that batches can be compared.
func show(b *Batch) []string {
	var lines []string
	for p := range b.Points() {
		lines = append(lines, fmt.Sprintf("%s %v %v %d", p.Series, p.Tags, p.Fields, p.Time.UnixNano()))
	}
	return lines
}

func TestDecodeExamples(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		var b Batch
		if err := b.DecodeMsgPack(unhex(t, text)); err != nil {
			t.Errorf("decode %s: %v", text, err)
			return
		}
		if got := show(&b); !slices.Equal(got, want) {
			t.Errorf("decode %s:\n got %q\nwant %q", text, got, want)
		}
		again := b.AppendMsgPack(nil)
		var c Batch
		if err := c.DecodeMsgPack(again); err != nil {
			t.Errorf("decode %x, encoded again: %v", again, err)
		} else if got := show(&c); !slices.Equal(got, want) {
			t.Errorf("encoded again as %x:\n got %q\nwant %q", again, got, want)
		}
	}
	f(exampleA, "load map[] map[one:0.5] 1763559525997744000")
	f(exampleF, "load map[] map[one:0.5] 1763559525997744000")
	f(exampleB,
		"cpu map[cpu:cpu0 dc:eu host:web-1] map[ctx:7 user:12.5] 1763559525997744000",
		"cpu map[cpu:cpu1 dc:eu host:web-1] map[ctx:-129] 1763559525997494000",
		"proc map[host:web-1] map[rss:18446744073709551615 state:S up:true] 1763559525997747000")
	f(exampleC, "span map[] map[d:81] 1763559525997744692", "span map[] map[d:82] 1763559525997744693")
	f("9501ce3b9aca00ce691dc865809196a174809091a163a16691920015", "t map[] map[c:21] 1763559525000000000")
	f("9501cd03e8008090")
	f(exampleG, "lat map[] map[n:3] 1763559525997744000")
	f(exampleH,
		"cpu map[cpu:cpu0 host:web-1] map[ctx:7 state:S up:true user:12.5] 1763559525997744000",
		"cpu map[cpu:cpu1 host:web-1] map[ctx:-129 up:true user:0.25] 1763559525997744000",
		"cpu map[cpu:cpu0 host:web-1] map[ctx:300 state:R up:true user:-1] 1763559525997734000")
	f(exampleI, "t map[a:z] map[x:1] 1763559525000000000", "t map[a:z] map[x:1] 1763559525000000000")
}

func TestDecodeRefuses(t *testing.T) {
	f := func(text string, want Code) {
		t.Helper()
		var b Batch
		err := b.DecodeMsgPack(unhex(t, text))
		if !errors.Is(err, want) {
			t.Errorf("decode %.80s: %v; want %v", text, err, want)
		}
		if b.Len() != 0 {
			t.Errorf("decode %.80s: refused, and yet %d points", text, b.Len())
		}
	}
	f("", CodeEmpty)
	f(strings.Repeat("c0", MaxMessage+1), CodeTooLarge)
	f("9502cd03e8008090", CodeVersion)
	f("95013c008090", CodeUnit)
	f("9401008090", CodeShape)
	f("9501010080dc0401"+strings.Repeat("00", 1025), CodeLimit)
	f("9501010080ddffffffff", CodeTruncated)
	f("ddffffffff", CodeTruncated)
	f("dfffffffff", CodeShape)
	f("9501010080d48001", CodeExt)
	f("9501010080c1", CodeSyntax)
	f(exampleA+"c0", CodeTrailing)
	f("9501cd03e8cf000643f2b3165cb082a168a161a168a16290", CodeDuplicateKey)
	f("9501cd03e8cf000643f2b3165cb081a168a1ff90", CodeUTF8)
	f("95010100809196a178809091a168a168919200919191919101", CodeDepth)
	f("95010100809196a174809091a178a169930200c406000000000000", CodeShape)
	f("95010100809196a174809091a178a166920100", CodeShape)
	f("95010100809196a174809091a178a16693020091cb3ff0000000000000", CodeShape)
	f("95010100809196a174809091a178a162930100c40102", CodeShape)
	f("95010100809196a174809091a178a173930100c40161", CodeShape)
	f("95010100809196a1748091a16b91a178a1669401009291a161c40101cb3ff0000000000000", CodeIndex)
	f("95010100809196a174809095a161a162a163a164a165a5666666666697cdffff000000000000", CodeLimit)
	f("95010100809196a0809091a178a1669192000a", CodeName)
	f("95010100809196a174809091a10aa1669192000a", CodeName)
	f("95010100809196a1748090 90 a0 90", CodeShape)
	for i := range len(exampleA) / 2 {
		if i > 0 {
			f(exampleA[:2*i], CodeTruncated)
		}
	}
}

func TestDecodeDrops(t *testing.T) {
	f := func(text string, points int, want map[Code]int) {
		t.Helper()
		var b Batch
		if err := b.DecodeMsgPack(unhex(t, text)); err != nil {
			t.Errorf("decode %s: %v", text, err)
			return
		}
		got := map[Code]int{}
		b.Drops().Each(func(c Code, n int) { got[c] = n })
		if b.Len() != points || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("decode %s: %d points, drops %v; want %d, %v", text, b.Len(), got, points, want)
		}
	}
	f("9501cd03e8cf000643f2b3165cb0809196a178809092a161a162a26666929300cb7ff8000000000001cb3ff00000000000009300cb7ff0000000000000c0",
		1, map[Code]int{CodeNaN: 2, CodeNoFields: 1})
	f("9501ce3b9aca00cf0000000225c17d04809196a178809091a161a1669492000192010192cf7fffffffffffffff0192cfffffffffffffffff01",
		1, map[Code]int{CodeTimeRange: 3})
	f("9501cd03e8cf000643f2b3165cb0809196a1788091a17491a169a16993930005019300a3610a62019300a001",
		1, map[Code]int{CodeTagValue: 2})
	f("9501cd03e8cf000643f2b3165cb0809196a178809095a169a175a162a173a166a56975627366929600cb3ff8000000000000ff01c3a1789600"+
		"cb4008000000000000cb4010000000000000c3a26f6b09",
		1, map[Code]int{CodeType: 4, CodeIntRange: 1, CodeNoFields: 1})
	f(exampleG, 1, map[Code]int{CodeUnknownType: 1})
	// columns: a packed float with a NaN among three, then one with nothing else
	f("95010100809196a174809091a178a166930300c418"+"000000000000f03f"+"010000000000f87f"+"0000000000000040",
		2, map[Code]int{CodeNaN: 1, CodeNoFields: 1})
	// columns: times beyond int64 nanoseconds in one of two rows
	f("9501ce3b9aca00cf0000000225c17d04809196a174809091a178a1699302c4020001c4020102", 1, map[Code]int{CodeTimeRange: 1})
	// columns: a constant tag that is no text
	f("95010100809196a1748091a16b91a178a16994020007"+"c4020102", 0, map[Code]int{CodeTagValue: 2})
	// columns: a reserved type beside a known one
	f("95010100809196a174809092a178a179a268699402009201 02c4020102", 2, map[Code]int{CodeUnknownType: 2})
}

// sample returns a batch of n points of four tags and five fields, as a busy collector makes them.
func sample(n int) *Batch {
	var b Batch
	g := b.Group("cpu", []string{"cpu", "dc", "host", "rack"}, []Field{
		{"idle", TypeFloat}, {"system", TypeFloat}, {"user", TypeFloat}, {"ctx", TypeInt}, {"irq", TypeInt}})
	base := time.Unix(1763559525, 997744692)
	for i := range n {
		f := float64(i%977) / 7
		g.Row(base.Add(time.Duration(i)*time.Microsecond),
			[]string{fmt.Sprintf("cpu%d", i%16), "eu", fmt.Sprintf("web-%d", i%20), fmt.Sprintf("r%d", i%4)},
			Float(f), Float(100-f), Float(f/3), Int(int64(i*31)), Int(int64(i%200)))
	}
	return &b
}

func TestEncodeIsReadBack(t *testing.T) {
	for _, n := range []int{1, 2, 3, 100, 1000, 20000} {
		b := sample(n)
		var c Batch
		if err := c.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil {
			t.Fatalf("%d points: %v", n, err)
		}
		if !slices.Equal(show(b), show(&c)) {
			t.Errorf("%d points are not the same when read back", n)
		}
		if c.Drops().Total() != 0 {
			t.Errorf("%d points: drops %v", n, c.Drops())
		}
	}
}

func TestEncodeTimes(t *testing.T) {
	f := func(unit int64, times ...int64) {
		t.Helper()
		var b Batch
		for _, ns := range times {
			b.At(time.Unix(0, ns))
			b.at = ns // At(0) would mean the clock
			b.add("t", ns, Fields{"v": 1}, nil)
		}
		var c Batch
		if err := c.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil {
			t.Errorf("%v: %v", times, err)
			return
		}
		var got []int64
		for g := range c.Groups() {
			got = append(got, g.Times()...)
			if g.unit != unit {
				t.Errorf("%v: unit %d, want %d", times, g.unit, unit)
			}
		}
		if !slices.Equal(got, times) {
			t.Errorf("times %v came back as %v", times, got)
		}
	}
	f(1e9, 1e18, 1e18+1e9, 1e18-5e9)
	f(1e6, 1e18, 1e18+1e6)
	f(1e3, 1e18+1e3)
	f(1, 1e18, 1e18+1, 1e18-1)
	f(1, math.MinInt64, math.MaxInt64, 0)
	f(1, math.MaxInt64, math.MaxInt64-1)
	f(1, math.MinInt64)
	f(1e9, -1e9, 2e9)
}

// TestFrames checks that a batch of any size is sent in messages that a reader takes, every point once.
func TestFrames(t *testing.T) {
	f := func(b *Batch, least, most int) {
		t.Helper()
		want, frames, points := show(b), 0, 0
		var got []string
		for fr := range b.Frames(TargetFrame, func() []byte { return nil }) {
			if fr.Err != nil {
				t.Fatal(fr.Err)
			}
			var c Batch
			if err := c.DecodeMsgPack(fr.Body); err != nil {
				t.Fatal(err)
			}
			if c.Len() != fr.Points || len(fr.Body) > MaxFrame {
				t.Errorf("frame of %d bytes says %d points and has %d", len(fr.Body), fr.Points, c.Len())
			}
			frames++
			points += fr.Points
			got = append(got, show(&c)...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d points went out, %d of them came in", len(want), len(got))
		}
		if frames < least || frames > most {
			t.Errorf("%d points in %d frames, want %d to %d", points, frames, least, most)
		}
	}
	f(&Batch{}, 0, 0)
	f(sample(1), 1, 1)
	f(sample(60000), 12, 30)
	learned := sample(3000)
	f(learned, 1, 2)
	f(learned, 1, 1)

	var many Batch
	for i := range 3000 {
		many.Add(fmt.Sprintf("series%d", i), Fields{"v": i}, nil)
	}
	f(&many, 3, 6)

	var small Batch
	g := small.Group("s", nil, []Field{{"v", TypeInt}})
	for i := range 100000 {
		g.Row(time.Unix(int64(i), 0), nil, Int(1))
	}
	f(&small, 2, 20)
	f(&small, 2, 4)

	var long Batch
	for i := range 40 {
		long.Add("log", Fields{"text": fmt.Sprint(i) + strings.Repeat("x", 60000), "n": i}, nil)
	}
	f(&long, 10, 40)
}

func TestFramesRefuseAGiant(t *testing.T) {
	var b Batch
	fields := Fields{}
	for i := range 10 {
		fields[fmt.Sprintf("f%d", i)] = strings.Repeat("x", 60000)
	}
	b.Add("giant", fields, nil)
	b.Add("small", Fields{"v": 1}, nil)
	points := 0
	var refused error
	for f := range b.Frames(TargetFrame, func() []byte { return nil }) {
		points += f.Points
		if f.Err != nil {
			refused = f.Err
		}
	}
	if points != 1 || !errors.Is(refused, CodeTooLarge) || !strings.Contains(refused.Error(), `"giant"`) {
		t.Errorf("%d points sent, error %v; want the small one, and the giant refused by name", points, refused)
	}
}

func TestNoAllocations(t *testing.T) {
	b := sample(1000)
	buf := b.AppendMsgPack(nil)
	var c Batch
	if err := c.DecodeMsgPack(buf); err != nil {
		t.Fatal(err)
	}
	f := func(name string, work func()) {
		t.Helper()
		if n := testing.AllocsPerRun(100, work); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	out := make([]byte, 0, 2*len(buf))
	f("encode", func() { out = b.AppendMsgPack(out[:0]) })
	f("decode", func() { _ = c.DecodeMsgPack(buf) })
	f("decode, filter, encode", func() {
		_ = c.DecodeMsgPack(buf)
		for g := range c.Groups() {
			mask := c.mask(g.Len())
			g.Tag("cpu").Match(mask, func(s string) bool { return s != "cpu3" })
			g.Select(mask)
			g.SetTag("site", "lab")
		}
		out = c.AppendMsgPack(out[:0])
	})
}

func FuzzDecodeMsgPack(f *testing.F) {
	for _, s := range []string{exampleA, exampleB, exampleC, exampleF, exampleG, exampleH, exampleI} {
		f.Add(unhex(f, s))
	}
	f.Add(sample(50).AppendMsgPack(nil))
	f.Fuzz(func(t *testing.T, msg []byte) {
		var b, c Batch
		if b.DecodeMsgPack(msg) != nil {
			return
		}
		want := show(&b)
		if err := c.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil {
			t.Fatalf("what was taken is refused when sent on: %v", err)
		}
		if got := show(&c); !slices.Equal(got, want) {
			t.Fatalf("sent on as\n%q\nwas\n%q", got, want)
		}
	})
}

// TestFramesLeaveSmallBatchesWhole checks that what fits into one message is one message, however it was estimated.
func TestFramesLeaveSmallBatchesWhole(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 100, 1000} {
		b := sample(n)
		for range 3 { // the estimate learns
			frames := 0
			for range b.Frames(TargetFrame, func() []byte { return nil }) {
				frames++
			}
			if frames != 1 {
				t.Errorf("%d points left in %d messages", n, frames)
			}
		}
	}
}
