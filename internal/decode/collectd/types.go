package collectd

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// Types are the types of a types.db: what values they have, in their order.
type Types map[string][]Source

// A Source is one value of a type.
type Source struct {
	Name    string
	Counter bool // of a kind that counts in whole numbers: COUNTER, DERIVE or ABSOLUTE

	// Min and Max are between which values of a GAUGE are possible; nil where nobody says it. Those of the other kinds are about what
	// a counter grows by, which is not known here.
	Min, Max *float64
}

// possible reports whether a value is within the bounds of s. One that is not finite is refused elsewhere.
func (s Source) possible(v any) bool {
	f, ok := v.(float64)
	if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		return true
	}
	return (s.Min == nil || f >= *s.Min) && (s.Max == nil || f <= *s.Max)
}

// ReadTypes reads the types of files. Of two that define the same the later counts.
func ReadTypes(paths ...string) (Types, error) {
	t := Types{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if err := t.Parse(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return t, nil
}

// Parse adds the types of a file. A line is a type, and name:kind:min:max of each value, where a bound may be U for none. Of a line that
// cannot be read nothing counts; all are told.
func (t Types) Parse(text string) error {
	var faults []error
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		words := strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(blanks+",", c) })
		if len(words) == 0 {
			continue
		}
		sources, err := parseSources(words[1:])
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %s: %w", n, words[0], err))
			continue
		}
		t[words[0]] = sources
	}
	return errors.Join(faults...)
}

func parseSources(words []string) (list []Source, err error) {
	if len(words) == 0 {
		return nil, errors.New("there is no value: want name:kind:min:max")
	}
	names := map[string]bool{}
	for _, word := range words {
		parts := strings.Split(word, ":")
		if len(parts) != 4 || parts[0] == "" || names[parts[0]] {
			return nil, fmt.Errorf("%.40q: want name:kind:min:max, each name once", word)
		}
		names[parts[0]] = true
		low, err1 := parseBound(parts[2])
		high, err2 := parseBound(parts[3])
		if err1 != nil || err2 != nil || low != nil && high != nil && *low > *high {
			return nil, fmt.Errorf("%.40q: bounds %.40q and %.40q: want numbers or U, the lower first", word, parts[2], parts[3])
		}
		switch kind := strings.ToUpper(parts[1]); kind {
		case "GAUGE":
			list = append(list, Source{Name: parts[0], Min: low, Max: high})
		case "COUNTER", "DERIVE", "ABSOLUTE":
			list = append(list, Source{Name: parts[0], Counter: true})
		default:
			return nil, fmt.Errorf("%.40q: kind %.40q: want GAUGE, COUNTER, DERIVE or ABSOLUTE", word, kind)
		}
	}
	return list, nil
}

// parseBound reads a bound; nil is none.
func parseBound(text string) (*float64, error) {
	if text == "U" {
		return nil, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) {
		return nil, errors.New("no number")
	}
	return &f, nil
}
