package bucket

import "strconv"

// maxTexts is how many bounds are remembered.
const maxTexts = 4096

// Texts are bounds and quantiles as tags have them, made once: they repeat. The zero value is ready.
type Texts struct{ made map[float64]string }

// Of returns v as the usual clients write it.
func (t *Texts) Of(v float64) string {
	if text, ok := t.made[v]; ok {
		return text
	}
	if t.made == nil || len(t.made) >= maxTexts {
		t.made = map[float64]string{}
	}
	text := Text(v)
	t.made[v] = text
	return text
}

// Text returns v as the usual clients write it: shortest, and the infinities as +Inf and -Inf.
func Text(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
