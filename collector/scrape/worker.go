package scrape

import (
	"context"
	"fmt"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/decode/prometheus"
	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// A worker scrapes one target.
type worker struct {
	*scraper
	target *target
	out    collector.Emitter
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended

	fault string // of the last scrape, "" if it went well
	bad   string // what was wrong with a page that was read all the same
	past  past
}

func newWorker(s *scraper, t *target, out collector.Emitter) *worker {
	return &worker{scraper: s, target: t, out: out}
}

// A space is the memory of one scrape.
type space struct {
	text     []byte // the page, which the strings of batch look into
	form     form   // of the page
	gzip     *gzip.Reader
	batch    telemetry.Batch
	decoder  prometheus.Decoder
	samples  int // of the page
	families []prometheus.Family
	hashes   []uint64
	large    bool // it has one of the places for large pages
}

const (
	keptText   = 4 << 20 // the largest page whose memory is kept for the next one
	largePages = 4       // so many that are larger are there at a time, whatever the targets answer: others wait
)

func (s *scraper) space() *space {
	if p, ok := s.spaces.Get().(*space); ok {
		return p
	}
	return new(space)
}

// enlarge waits for a place for p when the page in it, which is to grow, becomes a large one.
func (s *scraper) enlarge(ctx context.Context, p *space) error {
	if p.large || 2*len(p.text) <= keptText {
		return nil
	}
	select {
	case s.large <- struct{}{}:
		p.large = true
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no room for a page of more than %d bytes: %d of them are at work", keptText, largePages)
	}
}

// release gives p back, unless it is large: one target must not decide on the memory of all.
func (s *scraper) release(p *space) {
	if p.large {
		<-s.large
		p.large = false
	}
	if cap(p.text) > keptText {
		return
	}
	p.batch.Reset()
	s.spaces.Put(p)
}

// scrape asks the target once, and sends what there is to tell.
func (w *worker) scrape(ctx context.Context) {
	p := w.space()
	defer w.release(p)
	begun := time.Now()
	at := begun.Truncate(time.Millisecond)
	p.batch.At(at)
	err := w.fetch(ctx, w.target, p)
	if ctx.Err() != nil { // nobody knows whether it would have answered
		return
	}
	var r report.Report
	if err == nil {
		r, err = w.decode(p, at)
	}
	w.note(err, r)
	if err != nil { // of such a page nothing counts
		p.batch.Reset()
		p.batch.At(at)
	}
	gone := w.past.follow(w, p, err == nil)
	w.own(p, time.Since(begun), err)
	if err == nil {
		w.counts(p, r, gone)
	}
	w.tag(&p.batch)
	if err == nil {
		w.families.tell(&p.batch, w.target.job, p.families, begun)
	}
	w.emit(&p.batch)
	w.past.keep(w, p, err == nil)
}

// emit sends b. What becomes of it is counted, and told, where that is decided.
func (w *worker) emit(b *telemetry.Batch) {
	if err := w.out.Emit(b); err != nil {
		w.log.Debug("samples not stored", "url", w.target.url, "error", err)
	}
}

// decode makes points of a page. An error fails the scrape.
func (w *worker) decode(p *space, at time.Time) (report.Report, error) {
	p.families, p.samples = p.families[:0], 0
	p.decoder.Options = prometheus.Options{
		OpenMetrics: p.form == openForm, NoTimes: !w.cfg.HonorTimes, Limit: w.cfg.MaxSamples, Beside: w.beside(),
		Sample: func(s *prometheus.Sample) bool {
			p.samples++
			return w.sample(s)
		},
	}
	if w.cfg.Families {
		p.decoder.Family = func(f prometheus.Family) {
			if len(p.families) < maxFamilies {
				p.families = append(p.families, f)
			}
		}
	}
	read := p.decoder.Decode
	if p.form == protobufForm {
		read = p.decoder.DecodeProtobuf
	}
	r := report.Bounded(&p.batch, report.MaxShapes, func() report.Report { return read(&p.batch, p.text, at) })
	switch {
	case r.Bad[prometheus.CutOff] > 0, r.Bad[prometheus.Unfinished] > 0:
		return r, fmt.Errorf("cut off: %w", r.First)
	case r.Bad[prometheus.TooMany] > 0:
		return r, fmt.Errorf("more than %d samples (max_samples)", w.cfg.MaxSamples)
	case r.Points == 0 && r.Bad[report.Syntax] > 0:
		return r, fmt.Errorf("no samples: %w", r.First)
	}
	return r, nil
}

// note counts what is left out of a page, and logs what has changed.
func (w *worker) note(err error, r report.Report) {
	for reason, n := range r.Bad {
		w.out.Drop(reason, n)
	}
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	switch {
	case fault != "" && w.fault == "":
		w.log.Warn("target is down", "url", w.target.url, "error", err)
	case fault == "" && w.fault != "":
		w.log.Info("target is up", "url", w.target.url)
	}
	w.fault = fault
	bad := ""
	if err == nil && r.Bad[report.Syntax] > 0 {
		bad = r.First.Error()
	}
	if bad != "" && w.bad == "" {
		w.log.Warn("parts of a page cannot be read", "url", w.target.url, "parts", r.Bad[report.Syntax], "first", bad)
	}
	w.bad = bad
}

// own adds the points about the scrape itself.
func (w *worker) own(p *space, took time.Duration, err error) {
	tags := w.target.tagMap()
	p.batch.Add("scrape_duration_seconds", telemetry.Fields{"value": took.Seconds()}, tags)
	up := telemetry.Fields{"value": 1.0}
	if err != nil {
		up = telemetry.Fields{"value": 0.0, "error": err.Error()}
	}
	p.batch.Add("up", up, tags)
}

// counts adds the point about a page that was read.
func (w *worker) counts(p *space, r report.Report, gone int) {
	p.batch.Add("scrape_samples", telemetry.Fields{
		"value": float64(p.samples), "kept": r.Points, "refused": r.Total(), "gone": gone,
	}, w.target.tagMap())
}

// beside returns how many tags a sample gets after it was read: those of its target, and its host.
func (w *worker) beside() int {
	if len(w.metric) > 0 { // it has them by then
		return 1
	}
	return len(w.target.tags) + 1
}

// tag gives the tags of the target to all points of b. Where there are rules for samples each has them by now, or they have been
// taken away.
func (w *worker) tag(b *telemetry.Batch) {
	if len(w.metric) > 0 {
		return
	}
	for _, t := range w.target.tags {
		b.DefaultTag(t.Key, t.Value)
	}
}
