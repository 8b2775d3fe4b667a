package oracle

import (
	"bytes"
	"hash/fnv"
	"iter"
	"strconv"
)

// baseTime is when the first point of a source was, unless it has its own.
const baseTime = 1_763_559_525_000_000_000

// A point is a line as every publisher of line protocol writes it, tags and fields by name, so that it can be compared as it is:
//
//	chaos,boot=1,host=h07 hash="9e3779b97f4a7c15",seq=12i 1763559525000012000
//
// The hash follows from the rest: a value that has come to another point is seen.
const (
	beforeBoot = "chaos,boot="
	beforeHost = ",host="
	beforeHash = ` hash="`
	beforeSeq  = `",seq=`
	beforeTime = "i "
)

// appendLine appends the line of a point.
func (t *track) appendLine(to []byte, seq int) []byte {
	id := t.id
	to = append(to, beforeBoot...)
	to = strconv.AppendInt(to, int64(id.boot), 10)
	to = append(to, beforeHost...)
	to = append(to, id.host...)
	to = append(to, beforeHash...)
	to = strconv.AppendUint(to, hash(id, seq), 16)
	to = append(to, beforeSeq...)
	to = strconv.AppendInt(to, int64(seq), 10)
	to = append(to, beforeTime...)
	return strconv.AppendInt(to, t.base+int64(seq)*1000, 10)
}

func hash(id identity, seq int) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(strconv.AppendInt([]byte(id.host), int64(id.boot)<<40+int64(seq), 16)) // never fails
	return h.Sum64()
}

// parse reads of a line which point it says it is.
func parse(line []byte) (id identity, seq int, ok bool) {
	boot, rest, ok := between(line, beforeBoot, beforeHost)
	if !ok {
		return id, 0, false
	}
	host, rest, ok := bytes.Cut(rest, []byte(beforeHash))
	if !ok {
		return id, 0, false
	}
	_, rest, ok = bytes.Cut(rest, []byte(beforeSeq))
	number, _, ok2 := bytes.Cut(rest, []byte(beforeTime))
	if !ok || !ok2 {
		return id, 0, false
	}
	life, err1 := strconv.Atoi(string(boot))
	seq, err2 := strconv.Atoi(string(number))
	return identity{string(host), life}, seq, err1 == nil && err2 == nil && seq >= 0
}

// between cuts what stands between a begin and a mark, and what follows the mark.
func between(line []byte, begin, mark string) (in, rest []byte, ok bool) {
	line, ok = bytes.CutPrefix(line, []byte(begin))
	if !ok {
		return nil, nil, false
	}
	return bytes.Cut(line, []byte(mark))
}

// lines are the lines of a text, without their ends; empty ones are left out.
func lines(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for line := range bytes.Lines(text) {
			if line = bytes.TrimSuffix(line, []byte("\n")); len(line) > 0 && !yield(line) {
				return
			}
		}
	}
}
