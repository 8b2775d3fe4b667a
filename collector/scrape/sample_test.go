package scrape

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/decode/prometheus"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Labels of a sample that its target has too get another name, or stand.
func TestLabels(t *testing.T) {
	p := newPage(t, `a{job="x",host="h",exported_job="y",instance="",l="v"} 1`+"\n")
	w, e := p.worker(t, nil)
	w.scrape(t.Context())
	check(t, e.take("a"), "a,exported_exported_job=x,exported_host=h,exported_job=y,instance=i,job=j,l=v value=1")

	w, e = p.worker(t, func(c *Config) { c.HonorLabels = true })
	w.scrape(t.Context())
	check(t, e.take("a"), "a,exported_job=y,host=h,instance=i,job=x,l=v value=1")
}

// A sample that would have more tags than a point can have is counted, those of its target among them.
func TestTooManyLabels(t *testing.T) {
	text := func(labels int) string {
		var b strings.Builder
		for i := range labels {
			fmt.Fprintf(&b, "l%d=\"v\",", i)
		}
		return "a{" + b.String() + "} 1\nb 2\n"
	}
	p := newPage(t, "")
	for _, rules := range []string{`[]`, `[{"target_label":"site","replacement":""}]`} {
		w, e := p.worker(t, nil)
		w.scraper.metric = rulesOf(t, rules)
		f := func(labels int, dropped int) {
			t.Helper()
			p.say(text(labels))
			w.scrape(t.Context())
			if got := e.take("a", "b"); len(got) != 2-dropped || e.drops["limit"] != dropped {
				t.Errorf("%d labels: %d points, %v", labels, len(got), e.drops)
			}
		}
		f(telemetry.MaxTags-3, 0) // job, instance, host
		f(telemetry.MaxTags-2, 1)
	}
}

func TestMetricRelabel(t *testing.T) {
	text := "cpu{mode=\"idle\",cpu=\"0\"} 1\ncpu{mode=\"user\",cpu=\"0\"} 2\nmem{unit=\"B\"} 3\n"
	f := func(rules string, want ...string) {
		t.Helper()
		p := newPage(t, text)
		w, e := p.worker(t, nil)
		w.scraper.metric = rulesOf(t, rules)
		w.scrape(t.Context())
		check(t, e.take("cpu", "mem", "cpu_idle", "cpu_user", "up"), append(want, "up,instance=i,job=j value=1")...)
	}
	all := []string{"cpu,cpu=0,instance=i,job=j,mode=idle value=1", "cpu,cpu=0,instance=i,job=j,mode=user value=2", "mem,instance=i,job=j,unit=B value=3"}
	f(`[]`, all...)
	f(`[{"action":"keep","source_labels":["job"],"regex":"j"}]`, all...)
	f(`[{"action":"drop","source_labels":["__name__","mode"],"regex":"cpu;idle"}]`, all[1:]...)
	f(`[{"action":"labeldrop","regex":"instance|cpu|job"}]`, "cpu,mode=idle value=1", "cpu,mode=user value=2", "mem,unit=B value=3")
	f(`[{"source_labels":["__name__","mode"],"regex":"(.*);(.+)","target_label":"__name__","replacement":"${1}_$2"},{"action":"labeldrop","regex":"mode"}]`,
		"cpu_idle,cpu=0,instance=i,job=j value=1", "cpu_user,cpu=0,instance=i,job=j value=2", "mem,instance=i,job=j,unit=B value=3")
	f(`[{"source_labels":["unit"],"regex":"B","target_label":"__name__","replacement":""},{"target_label":"__tmp","replacement":"x"}]`, all[:2]...)
}

// Samples that say their time keep it, unless they are not to.
func TestTimes(t *testing.T) {
	p := newPage(t, "a 1 1000\n")
	f := func(honor bool) {
		t.Helper()
		w, e := p.worker(t, func(c *Config) { c.HonorTimes = honor })
		w.scrape(t.Context())
		for _, p := range e.points {
			if said := p.Time.Unix() == 1; said != (honor && p.Series == "a") {
				t.Errorf("honor %v: %s has the time %v", honor, p.Series, p.Time)
			}
		}
	}
	f(true)
	f(false)
}

// Series that a page no longer has are counted, or marked.
func TestStale(t *testing.T) {
	p := newPage(t, "")
	for _, rules := range []string{`[]`, `[{"target_label":"site","replacement":"lab"}]`} {
		tags := "instance=i,job=j"
		if rules != "[]" {
			tags += ",site=lab"
		}
		w, e := p.worker(t, func(c *Config) { c.Stale = staleMark })
		w.scraper.metric = rulesOf(t, rules)
		f := func(text string, want ...string) {
			t.Helper()
			p.say(text)
			w.scrape(t.Context())
			check(t, e.take("a", "b", "c"), want...)
		}
		f("a{l=\"1\"} 1\nb 2\nb 3\n", "a,"+tags[:16]+",l=1"+tags[16:]+" value=1", "b,"+tags+" value=2", "b,"+tags+" value=3")
		f("b 2\nc 3\n", "a,"+tags[:16]+",l=1"+tags[16:]+" stale=true", "b,"+tags+" value=2", "c,"+tags+" value=3")
		f("b 2\nc NaN\n", "b,"+tags+" value=2", "c,"+tags+" stale=true")
		f("b 2\nc 3\n", "b,"+tags+" value=2", "c,"+tags+" value=3")
		f("<html>\n", "b,"+tags+" stale=true", "c,"+tags+" stale=true")
		f("<html>\n")
		f("b 2\n", "b,"+tags+" value=2")
		w.vanish()
		check(t, e.take(), "b,"+tags+" stale=true")
	}
	w, e := p.worker(t, nil)
	p.say("a 1\nb 2\n")
	w.scrape(t.Context())
	p.say("<html>\n")
	w.scrape(t.Context())
	p.say("b 2\n")
	e.take()
	w.scrape(t.Context())
	check(t, e.take("a", "b", "scrape_samples"), "b,instance=i,job=j value=2", "scrape_samples,instance=i,job=j gone=1i,kept=1i,refused=0i,value=1")
	w.vanish()
	check(t, e.take())
}

// What a page says of its families is told once, and again an hour later.
func TestFamilies(t *testing.T) {
	p := newPage(t, "# HELP a What it is.\n# TYPE a counter\na{l=\"1\"} 1\na{l=\"2\"} 1\n# TYPE b gauge\n# UNIT b seconds\nb 1\n")
	w, e := p.worker(t, func(c *Config) { c.Families = true })
	f := func(want ...string) {
		t.Helper()
		w.scrape(t.Context())
		check(t, e.take("scrape_family"), want...)
	}
	a := `scrape_family,family=a,job=j,type=counter help="What it is.",samples=2i`
	b := `scrape_family,family=b,job=j,type=gauge,unit=seconds help="",samples=1i`
	f(a, b)
	f()
	p.say("# TYPE b gauge\nb 1\n")
	f(`scrape_family,family=b,job=j,type=gauge help="",samples=1i`)
	f()
	for key, at := range w.families.told {
		w.families.told[key] = at.Add(-familiesEvery)
	}
	f(`scrape_family,family=b,job=j,type=gauge help="",samples=1i`)
}

// What a hostile target says of its families is not remembered without end.
func TestFamiliesAreBounded(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	var all families
	var b telemetry.Batch
	all.tell(&b, "j", []prometheus.Family{{Name: long, Type: long, Unit: long}}, time.Now())
	for key := range all.told {
		if n := len(key.name) + len(key.kind) + len(key.unit); n != 3*telemetry.MaxName {
			t.Errorf("%d bytes are remembered", n)
		}
	}
	p := newPage(t, strings.Repeat("# TYPE a b\n# TYPE c d\n", maxFamilies))
	w, _ := p.worker(t, func(c *Config) { c.Families = true })
	space := w.space()
	if err := w.fetch(t.Context(), w.target, space); err != nil {
		t.Fatal(err)
	}
	if _, err := w.decode(space, time.Now()); err != nil || len(space.families) != maxFamilies {
		t.Errorf("%d families of a page, %v", len(space.families), err)
	}
}

// Targets come and go with their file.
func TestFollow(t *testing.T) {
	p := newPage(t, "a 1\n")
	w, e := p.worker(t, nil)
	w.scraper.every = 20 * time.Millisecond
	c := crew{scraper: w.scraper, out: e, at: map[string]*worker{}}
	defer c.end()
	one, _, err := newTarget(w.cfg, nil, p.URL+"/other", nil)
	if err != nil {
		t.Fatal(err)
	}
	has := func(line string) func() bool {
		return func() bool { return slices.Contains(e.take("a"), line) }
	}
	c.follow(t.Context(), []*target{w.target})
	until(t, "the first is scraped", has("a,instance=i,job=j value=1"))
	c.follow(t.Context(), []*target{one})
	until(t, "the second is scraped", has("a,instance="+p.address()+",job=j value=1"))
	e.take()
	until(t, "the second is scraped on", has("a,instance="+p.address()+",job=j value=1"))
	if len(c.at) != 1 {
		t.Errorf("%d workers", len(c.at))
	}
}

// Where there is no interval each target is scraped once.
func TestOnce(t *testing.T) {
	p := newPage(t, "a 1\n")
	w, e := p.worker(t, func(c *Config) { c.Targets = plugin.Strings{p.URL + "/other"}; c.Groups = nil; c.Job = "once" })
	w.scraper.every = 0
	if err := w.scraper.Stream(t.Context(), e); err != nil {
		t.Error(err)
	}
	check(t, e.take("a"), "a,instance="+p.address()+",job=once value=1")
}
