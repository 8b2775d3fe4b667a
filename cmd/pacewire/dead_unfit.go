package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pacewire/pacewire/bus"
)

// unfit are letters that cannot be given again here, all for one reason.
type unfit struct {
	letter bus.Letter // the first of them
	err    error      // of this one
	seqs   []uint64
}

// sortLetters returns the letters that can be given again, by plugin, and the others by why they cannot.
func sortLetters(list []bus.Letter) (fit map[string][]bus.Letter, others []*unfit) {
	type reason struct{ home, plugin string }
	fit, known := map[string][]bus.Letter{}, map[reason]*unfit{}
	for _, l := range list {
		err := l.Retryable()
		if err == nil {
			fit[l.Plugin] = append(fit[l.Plugin], l)
			continue
		}
		var why reason // the zero one: no content
		if errors.Is(err, bus.ErrElsewhere) {
			why = reason{l.Home, l.Plugin}
		}
		u := known[why]
		if u == nil {
			u = &unfit{letter: l, err: err}
			known[why], others = u, append(others, u)
		}
		u.seqs = append(u.seqs, l.Seq)
	}
	return fit, others
}

// Error says which letters they are, why they are left, and what can be done.
func (u *unfit) Error() string {
	if errors.Is(u.err, bus.ErrElsewhere) {
		plugin := printable(u.letter.Plugin)
		return fmt.Sprintf("not given again: %s: a copy of what host %s keeps: on that machine, pacewire dead retry --plugin %s gives it to its plugin %s again, "+
			"and pacewire dead list has its number there", seqsText(u.seqs), printable(u.letter.Home), plugin, plugin)
	}
	return fmt.Sprintf("not given again: %s: without content, which was too large for a letter, or empty: "+
		"pacewire dead show tells what is known of it, pacewire dead drop removes it", seqsText(u.seqs))
}

func (u *unfit) Unwrap() error { return u.err }

func seqsOf(letters []bus.Letter) (seqs []uint64) {
	for _, l := range letters {
		seqs = append(seqs, l.Seq)
	}
	return seqs
}

// mostNamed is how many letters a message names.
const mostNamed = 20

// seqsText writes the numbers of letters, as a verb takes them.
func seqsText(seqs []uint64) string {
	text := strings.Trim(fmt.Sprint(seqs[:min(len(seqs), mostNamed)]), "[]")
	if more := len(seqs) - mostNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
