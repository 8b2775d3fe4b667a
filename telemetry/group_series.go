package telemetry

import "hash/maphash"

// SeriesHashes appends a hash for each point to buf: of the name of its series and of its tags, on whatever level they are said
// and in whatever order. Under one seed points that agree in these have one hash, and those that do not have two, but for a
// chance of 2^-64. A text of a dictionary is hashed once.
func (g *Group) SeriesHashes(seed maphash.Seed, buf []uint64) []uint64 {
	from := len(buf)
	all := maphash.String(seed, g.Series)
	for _, t := range g.shared {
		if column(g.tags, t.Key) == nil {
			all += hasher(seed, t.Key).hash(t.Value)
		}
	}
	for _, t := range g.batch {
		if column(g.tags, t.Key) == nil && value(g.shared, t.Key) == "" {
			all += hasher(seed, t.Key).hash(t.Value)
		}
	}
	for range g.n {
		buf = append(buf, all)
	}
	for i := range g.tags {
		view := g.Tag(g.tags[i].Name)
		view.addHashes(seed, buf[from:])
	}
	return buf
}

// addHashes adds the hash of the tag of each point to what stands in sums.
func (v TagView) addHashes(seed maphash.Seed, sums []uint64) {
	c, h := v.col, hasher(seed, v.col.Name)
	if text, same := v.Const(); same {
		one := h.hash(text)
		for row := range sums {
			sums[row] += one
		}
		return
	}
	if c.form != formDict {
		for row := range sums {
			sums[row] += h.hash(v.At(row))
		}
		return
	}
	var room [256]uint64 // the usual dictionary needs no more
	hashes := room[:0]
	for _, t := range c.texts {
		hashes = append(hashes, h.hash(v.or(t)))
	}
	switch {
	case c.absent != nil:
		none := h.hash(v.outer)
		for row := range sums {
			if c.absent[row] {
				sums[row] += none
			} else {
				sums[row] += hashes[c.index(row)]
			}
		}
	case c.width == 1:
		for row, i := range c.data[:len(sums)] {
			sums[row] += hashes[i]
		}
	default:
		for row := range sums {
			sums[row] += hashes[c.index(row)]
		}
	}
}

// A tagHasher hashes the values of one tag.
type tagHasher struct {
	seed maphash.Seed
	key  uint64
}

func hasher(seed maphash.Seed, key string) tagHasher {
	return tagHasher{seed, maphash.String(seed, key) * 0x9e3779b97f4a7c15}
}

// hash returns the share of a tag in the hash of its series; 0 for "", which is no tag. Shares are added up, so that the order of
// the tags does not count; therefore each is mixed well before.
func (t tagHasher) hash(text string) uint64 {
	if text == "" {
		return 0
	}
	h := t.key + maphash.String(t.seed, text)
	h = (h ^ h>>32) * 0xd6e8feb86659fd93
	return h ^ h>>29
}
