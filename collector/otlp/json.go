package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pacewire/pacewire/telemetry"
)

var errJSON = errors.New("the body is no JSON")

// readJSON adds the points of an ExportMetricsServiceRequest. Strings of its points look into text. Names have the form that
// protobuf gives them in JSON, such as timeUnixNano; members with other names are left out.
func (in *intake) readJSON(text []byte) error {
	if !json.Valid(text) {
		return errJSON
	}
	text = skipBlank(text)
	return members(text[:valueEnd(text)], func(key string, value []byte) error {
		if key == "resourceMetrics" {
			return elements(value, in.resourceJSON)
		}
		return nil
	})
}

func (in *intake) resourceJSON(object []byte) error {
	resource, scopes := null, null
	err := members(object, func(key string, value []byte) error {
		switch key {
		case "resource":
			resource = value
		case "scopeMetrics":
			scopes = value
		}
		return nil
	})
	if err != nil {
		return err
	}
	in.beginResource()
	err = members(resource, func(key string, value []byte) error {
		if key == "attributes" {
			return elements(value, in.resourceAttributeJSON)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return elements(scopes, in.scopeJSON)
}

func (in *intake) resourceAttributeJSON(object []byte) error {
	key, text, err := attributeJSON(object)
	if err == nil && in.chosen(key) {
		in.addResource(key, text)
	}
	return err
}

func (in *intake) scopeJSON(object []byte) error {
	return members(object, func(key string, value []byte) error {
		if key == "metrics" {
			return elements(value, in.metricJSON)
		}
		return nil
	})
}

// kinds are those of a metric by their names.
var kinds = map[string]kind{
	"gauge": gauge, "sum": sum, "histogram": histogram, "exponentialHistogram": exponential, "summary": summary,
}

func (in *intake) metricJSON(object []byte) error {
	var m metric
	var data []byte
	err := members(object, func(key string, value []byte) (err error) {
		if key == "name" {
			m.name, err = stringOf(value)
		} else if k := kinds[key]; k != none && !bytes.Equal(value, null) {
			m.kind, data = k, value
		}
		return err
	})
	if err != nil || m.kind == none {
		return err
	}
	points := null
	err = members(data, func(key string, value []byte) error {
		switch key {
		case "dataPoints":
			points = value
		case "aggregationTemporality":
			var n int64
			err := readInt(&n, value, 32)
			m.delta = n == temporalityDelta
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	in.beginMetric(m)
	return elements(points, in.pointJSON)
}

func (in *intake) pointJSON(object []byte) error {
	p := &in.point
	p.reset()
	if in.metric.kind == summary {
		p.sum = telemetry.Float(0) // it is always there
	}
	if err := members(object, p.member); err != nil {
		return err
	}
	return in.add()
}

// member reads a member of a data point. No two kinds of them mean different things by the same name.
func (p *point) member(key string, value []byte) error {
	switch key {
	case "attributes":
		return elements(value, p.attributeJSON)
	case "startTimeUnixNano":
		return readUint(&p.start, value)
	case "timeUnixNano":
		return readUint(&p.time, value)
	case "flags":
		return readUint(&p.flags, value)
	case "asInt":
		return setInt(&p.value, value)
	case "asDouble":
		return setFloat(&p.value, value)
	case "count":
		return readUint(&p.count, value)
	case "sum":
		return setFloat(&p.sum, value)
	case "min":
		return setFloat(&p.min, value)
	case "max":
		return setFloat(&p.max, value)
	case "quantileValues":
		return elements(value, p.quantileJSON)
	}
	return p.bucketMember(key, value)
}

// setInt sets v to a whole number; null says nothing.
func setInt(v *telemetry.Value, value []byte) error {
	var n int64
	err := readInt(&n, value, 64)
	if err == nil && !bytes.Equal(value, null) {
		*v = telemetry.Int(n)
	}
	return err
}

// setFloat sets v to a number; null says nothing.
func setFloat(v *telemetry.Value, value []byte) error {
	var n float64
	err := readFloat(&n, value)
	if err == nil && !bytes.Equal(value, null) {
		*v = telemetry.Float(n)
	}
	return err
}

// bucketMember reads a member of a data point that is about its buckets.
func (p *point) bucketMember(key string, value []byte) error {
	switch key {
	case "bucketCounts":
		return p.countsJSON(&p.counts, value)
	case "explicitBounds":
		return elements(value, func(value []byte) error {
			var v float64
			err := readFloat(&v, value)
			p.addBound(v)
			return err
		})
	case "scale":
		return readInt32(&p.scale, value)
	case "zeroCount":
		return readUint(&p.zeros, value)
	case "zeroThreshold":
		return readFloat(&p.threshold, value)
	case "positive":
		return p.bucketsJSON(&p.positive, value)
	case "negative":
		return p.bucketsJSON(&p.negative, value)
	}
	return nil
}

func (p *point) countsJSON(counts *[]uint64, list []byte) error {
	return elements(list, func(value []byte) error {
		var n uint64
		err := readUint(&n, value)
		p.addCount(counts, n)
		return err
	})
}

func (p *point) bucketsJSON(b *buckets, object []byte) error {
	return members(object, func(key string, value []byte) error {
		switch key {
		case "offset":
			return readInt32(&b.offset, value)
		case "bucketCounts":
			return p.countsJSON(&b.counts, value)
		}
		return nil
	})
}

func (p *point) quantileJSON(object []byte) error {
	var q, v float64
	err := members(object, func(key string, value []byte) error {
		switch key {
		case "quantile":
			return readFloat(&q, value)
		case "value":
			return readFloat(&v, value)
		}
		return nil
	})
	p.addQuantile(q, v)
	return err
}

func (p *point) attributeJSON(object []byte) error {
	key, text, err := attributeJSON(object)
	p.addAttribute(key, text)
	return err
}

// attributeJSON reads a KeyValue, its value as a tag has it. A text looks into object.
func attributeJSON(object []byte) (key, text string, err error) {
	key, v, err := keyValueJSON(object)
	if err != nil {
		return "", "", err
	}
	nodes := maxNodes
	plain, err := plainJSON(v, 0, &nodes)
	return key, textOf(plain), err
}

// keyValueJSON reads a KeyValue, and leaves its value as it is.
func keyValueJSON(object []byte) (key string, v []byte, err error) {
	v = null
	err = members(object, func(name string, value []byte) (err error) {
		switch name {
		case "key":
			key, err = stringOf(value)
		case "value":
			v = value
		}
		return err
	})
	return key, v, err
}

// plainJSON returns an AnyValue as encoding/json has it. nodes is how many values there may be within.
func plainJSON(object []byte, depth int, nodes *int) (plain any, err error) {
	err = members(object, func(key string, value []byte) (err error) {
		if bytes.Equal(value, null) {
			return nil
		}
		switch key {
		case "stringValue":
			plain, err = stringOf(value)
		case "boolValue":
			var v bool
			err = readBool(&v, value)
			plain = v
		case "intValue":
			var v int64
			err = readInt(&v, value, 64)
			plain = v
		case "doubleValue":
			var v float64
			err = readFloat(&v, value)
			plain = v
		case "bytesValue":
			plain, err = bytesJSON(value)
		case "arrayValue":
			plain, err = arrayJSON(value, depth+1, nodes)
		case "kvlistValue":
			plain, err = listJSON(value, depth+1, nodes)
		}
		return err
	})
	return plain, err
}

// bytesJSON reads base64 of either alphabet, padded or not.
func bytesJSON(value []byte) ([]byte, error) {
	text, err := stringOf(value)
	if err != nil {
		return nil, err
	}
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("want base64 instead of %s", short(value))
	}
	return raw, nil
}

// eachValue calls do for what the member values of an object lists.
func eachValue(object []byte, do func(value []byte) error) error {
	return members(object, func(key string, value []byte) error {
		if key == "values" {
			return elements(value, do)
		}
		return nil
	})
}

func arrayJSON(object []byte, depth int, nodes *int) (any, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	all := []any{}
	err := eachValue(object, func(value []byte) error {
		one, err := plainJSON(value, depth, nodes)
		if *nodes > 0 {
			all = append(all, finite(one))
		}
		*nodes--
		return err
	})
	return all, err
}

func listJSON(object []byte, depth int, nodes *int) (any, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	all := map[string]any{}
	err := eachValue(object, func(value []byte) error {
		key, v, err := keyValueJSON(value)
		if err != nil {
			return err
		}
		one, err := plainJSON(v, depth, nodes)
		if *nodes > 0 {
			all[key] = finite(one)
		}
		*nodes--
		return err
	})
	return all, err
}
