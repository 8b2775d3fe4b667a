package prometheus

import "strings"

// Classes of characters.
const (
	inLabel = 1 << iota // may be in the name of a label
	inName              // may be in the name of a metric
	begins              // may begin one
)

var classes = func() (of [256]byte) {
	for c := 'a'; c <= 'z'; c++ {
		of[c], of[c-'a'+'A'] = inLabel|inName|begins, inLabel|inName|begins
	}
	for c := '0'; c <= '9'; c++ {
		of[c] = inLabel | inName
	}
	of['_'] = inLabel | inName | begins
	of[':'] = inName | begins
	return of
}()

// nameEnd returns where the name of a metric at the start of text ends.
func nameEnd(text string) int { return end(text, inName) }

// labelEnd returns where the name of a label at the start of text ends.
func labelEnd(text string) int { return end(text, inLabel) }

func end(text string, class byte) int {
	if text == "" || classes[text[0]]&begins == 0 {
		return 0
	}
	n := 0
	for n < len(text) && classes[text[n]]&class != 0 {
		n++
	}
	return n
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// blanks returns where the blanks that stand at at end.
func blanks(text string, at int) int {
	for at < len(text) && blank(text[at]) {
		at++
	}
	return at
}

// trim returns text without blanks at its ends, and without the carriage return of a foreign line end.
func trim(text string) string {
	if n := len(text); n > 0 && text[n-1] == '\r' {
		text = text[:n-1]
	}
	text = text[blanks(text, 0):]
	for len(text) > 0 && blank(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text
}

// cutWord returns the first word of text, and what comes behind it and its blanks.
func cutWord(text string) (word, rest string) {
	text = text[blanks(text, 0):]
	n := 0
	for n < len(text) && !blank(text[n]) {
		n++
	}
	return text[:n], text[blanks(text, n):]
}

// comment notes what a comment says of a family.
func (d *Decoder) comment(text string) {
	keyword, rest := cutWord(text)
	if keyword != "HELP" && keyword != "TYPE" && keyword != "UNIT" {
		return
	}
	name, rest := familyName(rest)
	if name == "" {
		return
	}
	if name != d.family.Name {
		d.endFamily()
		d.family.Name = name
	}
	switch keyword {
	case "HELP":
		d.family.Help = unescapeHelp(rest)
	case "TYPE":
		d.family.Type = rest
	default:
		d.family.Unit = rest
	}
}

// familyName returns the name at the start of text, which may be in quotes, and what comes behind it.
func familyName(text string) (name, rest string) {
	if !strings.HasPrefix(text, `"`) {
		return cutWord(text)
	}
	name, at, err := quote(text, 0)
	if err != nil {
		return "", ""
	}
	return name, text[blanks(text, at):]
}

// endFamily tells of the family whose samples have all been read.
func (d *Decoder) endFamily() {
	if d.Family != nil && d.family.Name != "" {
		d.Family(d.family)
	}
	d.family = Family{}
}

func unescapeHelp(text string) string {
	if strings.IndexByte(text, '\\') < 0 {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
			unescape(&b, text[i])
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
