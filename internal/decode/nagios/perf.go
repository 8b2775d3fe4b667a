package nagios

import "strings"

// An Item is one measured value: 'label'=value[unit];[warn];[crit];[min];[max].
type Item struct {
	Label      string
	Value      float64
	Unknown    bool   // the value is U: the check could not tell
	Unit       string // as given
	Warn, Crit *Range
	Min, Max   *float64
}

// Counter reports whether the value only grows.
func (i Item) Counter() bool { return i.Unit == "c" }

// A Range is where a value is well, or with Inside where it is not. Both ends belong to it; nil is an open one.
type Range struct {
	Low, High *float64
	Inside    bool
}

// What can be wrong with items.
const (
	FaultNoEquals        = "no_equals"          // text without a value
	FaultQuote           = "unterminated_quote" // the label has no end
	FaultNoLabel         = "no_label"           // a value without a label
	FaultBadValue        = "bad_value"          // the value is no number
	FaultBadRange        = "bad_range"          // warn or crit; the item has none then
	FaultBadLimit        = "bad_limit"          // min or max; the item has none then
	FaultBarInLabel      = "bar_in_label"       // what stands before the bar is left out
	FaultBarInValue      = "bar_in_value"       // the bar separates two items
	maxFaults            = 100                  // that are listed
	maxFaultText         = 80                   // bytes
	fieldsOfAnItem       = 5                    // value, warn, crit, min, max
	undetermined    byte = 'U'
)

// A Fault is one thing wrong with items. It costs nothing but what it is about.
type Fault struct {
	Code string
	Text string // the place, for people
}

// ParsePerf reads items. Each bad one is left out, and the others are not. Of the faults the first are listed, and all are counted, by
// their codes.
func ParsePerf(text string) (items []Item, faults []Fault, bad map[string]int) {
	p := perf{rest: text, bad: map[string]int{}}
	for p.skipBlanks(); p.rest != ""; p.skipBlanks() {
		p.item()
	}
	return p.items, p.faults, p.bad
}

// perf reads items from the front of rest.
type perf struct {
	rest   string
	items  []Item
	faults []Fault
	bad    map[string]int
}

func (p *perf) fault(code, text string) {
	p.bad[code]++
	if len(p.faults) == maxFaults {
		return
	}
	if len(text) > maxFaultText {
		text = strings.ToValidUTF8(text[:maxFaultText], "")
	}
	p.faults = append(p.faults, Fault{code, text})
}

func (p *perf) skipBlanks() { p.rest = strings.TrimLeft(p.rest, blanks) }

// item reads one item, or what is in its place.
func (p *perf) item() {
	read := p.label
	if p.rest[0] == '\'' {
		read = p.quotedLabel
	}
	label, ok := read()
	if !ok {
		return
	}
	text := p.body()
	if label == "" {
		p.fault(FaultNoLabel, text)
		return
	}
	p.value(label, text)
}

// label reads a label without quotes, and the equals sign.
func (p *perf) label() (label string, ok bool) {
	label, rest, ok := strings.Cut(p.rest, "=")
	if !ok {
		p.fault(FaultNoEquals, p.rest)
		p.rest = ""
		return "", false
	}
	p.rest = rest
	if i := strings.LastIndexByte(label, '|'); i >= 0 {
		p.fault(FaultBarInLabel, label)
		label = label[i+1:]
	}
	return strings.Trim(label, blanks), true
}

// quotedLabel reads a label in quotes, in which two are one, and the equals sign.
func (p *perf) quotedLabel() (label string, ok bool) {
	var b strings.Builder
	rest := p.rest[1:]
	for {
		part, after, closed := strings.Cut(rest, "'")
		if !closed {
			p.fault(FaultQuote, p.rest)
			p.rest = ""
			return "", false
		}
		b.WriteString(part)
		if !strings.HasPrefix(after, "'") {
			rest = strings.TrimLeft(after, blanks)
			break
		}
		b.WriteByte('\'')
		rest = after[1:]
	}
	if !strings.HasPrefix(rest, "=") {
		p.fault(FaultNoEquals, p.rest)
		p.rest = rest[wordEnd(rest):]
		return "", false
	}
	p.rest = rest[1:]
	return b.String(), true
}

// body reads what stands behind the equals sign.
func (p *perf) body() string {
	if ahead := strings.TrimLeft(p.rest, blanks); beginsValue(ahead) {
		p.rest = ahead
	}
	end := strings.IndexAny(p.rest, blanks+"|")
	if end < 0 {
		end = len(p.rest)
	}
	text, rest := p.rest[:end], p.rest[end:]
	if strings.HasPrefix(rest, "|") {
		start := p.rest[:min(len(p.rest), maxFaultText)]
		p.fault(FaultBarInValue, start[:wordEnd(start)])
		rest = rest[1:]
	}
	p.rest = rest
	return text
}

// wordEnd returns where the first blank of text stands, or its length.
func wordEnd(text string) int {
	if i := strings.IndexAny(text, blanks); i >= 0 {
		return i
	}
	return len(text)
}

// beginsValue reports whether text begins with a number, or with a U alone.
func beginsValue(text string) bool {
	if text == "" || text[0] != undetermined {
		return numberLen(text) > 0
	}
	return len(text) == 1 || strings.IndexByte(blanks+";|", text[1]) >= 0
}

// value reads the five fields of an item.
func (p *perf) value(label, text string) {
	fields := strings.SplitN(text, ";", fieldsOfAnItem+1)
	i := Item{Label: label}
	var ok bool
	if i.Unknown = fields[0] == string(undetermined); !i.Unknown {
		if i.Value, i.Unit, ok = measure(fields[0]); !ok {
			p.fault(FaultBadValue, label+"="+text)
			return
		}
	}
	fields = append(fields, make([]string, fieldsOfAnItem)...)
	i.Warn, i.Crit = p.limits(label, fields[1]), p.limits(label, fields[2])
	i.Min, i.Max = p.limit(label, fields[3]), p.limit(label, fields[4])
	p.items = append(p.items, i)
}

func (p *perf) limits(label, text string) *Range {
	if text == "" {
		return nil
	}
	r, ok := parseRange(text)
	if !ok {
		p.fault(FaultBadRange, label+": "+text)
		return nil
	}
	return &r
}

func (p *perf) limit(label, text string) *float64 {
	if text == "" {
		return nil
	}
	n, ok := number(text)
	if !ok {
		p.fault(FaultBadLimit, label+": "+text)
		return nil
	}
	return &n
}
