package uplink

// A mark says of a sequence here that is settled, behind which one over there everything is that comes after it.
type mark struct{ seq, after uint64 }

// marks are those of what is settled and not confirmed, in their order. When they become many every second one is forgotten: an earlier
// one is right as well, it only makes the next start ask for more.
type marks []mark

const mostMarks = 256

func (m *marks) add(k mark) {
	if len(*m) >= mostMarks {
		few := (*m)[:0]
		for i := 1; i < len(*m); i += 2 {
			few = append(few, (*m)[i])
		}
		*m = few
	}
	*m = append(*m, k)
}

// upTo returns the last mark up to a sequence, and forgets it and those before it.
func (m *marks) upTo(floor uint64) (last mark, ok bool) {
	for len(*m) > 0 && (*m)[0].seq <= floor {
		last, ok, *m = (*m)[0], true, (*m)[1:]
	}
	return last, ok
}
