package collectd

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// maxLists is how many value lists a line may have: the tags of the line are those of each.
const maxLists = 256

// meta begins the name of an option that is a tag.
const meta = "meta:"

// values takes what stands behind PUTVAL: an identifier, then options and values in any order. Options hold for the values behind
// them; a line with a fault counts up to it.
func (r *reader) values(text string) error {
	s := scanner{text}
	name, _, err := s.next()
	if err != nil {
		return err
	}
	id, err := parseIdentifier(name)
	if err != nil {
		return err
	}
	tags := telemetry.Tags{"host": hostTag(id.host), "instance": id.instance, "type_instance": id.typeInstance}
	lists := 0
	for {
		field, more, err := s.next()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if key, value, ok := option(field); ok {
			setMeta(tags, key, value)
			continue
		}
		if lists++; lists > maxLists {
			return faultf(report.Limit, "%s: more than %d values", id, maxLists)
		}
		if err := r.list(id, tags, field); err != nil {
			return err
		}
	}
	if lists == 0 {
		return faultf(report.Syntax, "%s: there is no value: want N:VALUE or TIME:VALUE", name)
	}
	return nil
}

// setMeta keeps meta data as tags, but those that the identifier has. Other options, such as interval, say nothing of the values.
func setMeta(tags telemetry.Tags, key, value string) {
	name, ok := strings.CutPrefix(key, meta)
	if ok && name != "" && !slices.Contains([]string{"host", "instance", "type_instance"}, name) {
		tags[name] = value
	}
}

// list adds one value list, time:value[:value...], as a point.
func (r *reader) list(id identifier, tags telemetry.Tags, text string) error {
	when, rest, _ := strings.Cut(text, ":")
	if when == "" || rest == "" {
		return faultf(report.Syntax, "%s: values %.40q: want N:VALUE or TIME:VALUE", id, text)
	}
	at, err := r.time(when)
	if err != nil {
		return err
	}
	values := strings.Split(rest, ":")
	if len(values) > telemetry.MaxFields {
		return faultf(report.Limit, "%s: %d values: a point has %d at most", id, len(values), telemetry.MaxFields)
	}
	sources := r.options.Types[id.typ]
	if sources == nil {
		sources = unnamed(len(values))
	}
	if len(values) != len(sources) {
		return faultf(WrongCount, "%s: %d values: the type %s has %d", id, len(values), id.typ, len(sources))
	}
	fields := telemetry.Fields{}
	for i, s := range sources {
		if values[i] == unknown {
			continue
		}
		v, ok := s.number(values[i])
		if !ok {
			return faultf(BadValue, "%s: value %.40q of %s: want a number, or U", id, values[i], s.Name)
		}
		if !s.possible(v) {
			r.report.Refuse(OutOfRange, r.line, "%s: %s is %v, which is not possible by types.db", id, s.Name, v)
			continue
		}
		fields[s.Name] = v
	}
	if len(fields) > 0 {
		r.report.Append(r.b, r.line, telemetry.Point{Series: id.plugin + "_" + id.typ, Time: at, Tags: tags, Fields: fields})
	}
	return nil
}

// unknown is what stands where there is no value.
const unknown = "U"

// unnamed are n values of a type that is not known.
func unnamed(n int) []Source {
	if n == 1 {
		return []Source{{Name: "value"}}
	}
	list := make([]Source, n)
	for i := range list {
		list[i].Name = "value" + strconv.Itoa(i)
	}
	return list
}

// number reads a value: a whole number where the source is a counter, else a float, which may not be finite.
func (s Source) number(text string) (v any, ok bool) {
	if s.Counter {
		if v, err := strconv.ParseInt(text, 10, 64); err == nil {
			return v, true
		}
		if v, err := strconv.ParseUint(text, 10, 64); err == nil {
			return v, true
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) || strings.ContainsAny(text, "xXpP_") {
		return nil, false
	}
	if s.Counter && f == math.Trunc(f) && math.Abs(f) < 1<<63 { // such as 1.5e+10
		return int64(f), true
	}
	return f, !s.Counter || math.IsInf(f, 0) || math.IsNaN(f)
}
