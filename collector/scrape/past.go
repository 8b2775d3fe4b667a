package scrape

import (
	"hash/maphash"
	"slices"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A past is what the last page of a target had: series that the next one lacks are stale.
type past struct {
	seed   maphash.Seed
	series []uint64 // hashes, in the order of the page
	spare  []uint64
	text   []byte // the page itself, where series are to be marked
	form   form
}

// follow takes the page of p, before anything but its samples is in the batch, and returns how many series of the last one it lacks.
// Where these are to be marked, it adds a point for each. The target of a page that was not read lacks all of them.
func (k *past) follow(w *worker, p *space, read bool) (gone int) {
	if k.seed == (maphash.Seed{}) {
		k.seed = maphash.MakeSeed()
	}
	if !read && w.cfg.Stale == staleCount { // it may come again with what it had
		return 0
	}
	now := hashes(&p.batch, k.seed, k.spare[:0])
	if slices.Equal(now, k.series) { // most pages are like the one before
		k.spare = now
		return 0
	}
	p.hashes = append(p.hashes[:0], now...)
	slices.Sort(p.hashes)
	slices.Sort(k.series)
	lost := lacking(slices.Compact(k.series), p.hashes)
	k.series, k.spare = now, k.series
	if w.cfg.Stale == staleMark && len(lost) > 0 {
		k.mark(w, &p.batch, lost)
	}
	return len(lost)
}

// lacking returns which of last, in its memory, are not among now. Both are sorted.
func lacking(last, now []uint64) []uint64 {
	lost := last[:0]
	for _, h := range last {
		for len(now) > 0 && now[0] < h {
			now = now[1:]
		}
		if len(now) == 0 || now[0] != h {
			lost = append(lost, h)
		}
	}
	return lost
}

// keep keeps the page of p, if that was read, for when its series are to be marked. It is the last thing done with a page.
func (k *past) keep(w *worker, p *space, read bool) {
	if w.cfg.Stale != staleMark {
		return
	}
	k.text, k.form = k.text[:0], p.form
	if read {
		k.text = append(k.text, p.text...)
	}
}

// mark adds a last point to b for each series of the page before whose hash is among lost, which is sorted.
func (k *past) mark(w *worker, b *telemetry.Batch, lost []uint64) {
	old := w.space()
	defer w.release(old)
	page := old.text
	old.text, old.form = k.text, k.form
	_, _ = w.decode(old, b.Time()) // as when it came
	at, row := b.Time(), 0
	all := hashes(&old.batch, k.seed, nil)
	for p := range old.batch.Points() {
		i, ok := slices.BinarySearch(lost, all[row])
		if row++; ok {
			lost = slices.Delete(lost, i, i+1) // once
			b.Append(telemetry.Point{Series: p.Series, Tags: p.Tags, Time: at, Fields: telemetry.Fields{"stale": true}})
		}
	}
	old.text = page
}

// hashes appends the hash of the series of each point to buf.
func hashes(b *telemetry.Batch, seed maphash.Seed, buf []uint64) []uint64 {
	for g := range b.Groups() {
		buf = g.SeriesHashes(seed, buf)
	}
	return buf
}

// vanish tells that a target is there no more: all its series are stale.
func (w *worker) vanish() {
	if w.cfg.Stale != staleMark || len(w.past.series) == 0 {
		return
	}
	p := w.space()
	defer w.release(p)
	p.batch.At(time.Now().Truncate(time.Millisecond))
	w.past.follow(w, p, false)
	w.tag(&p.batch)
	w.emit(&p.batch)
}
