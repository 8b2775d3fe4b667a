package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// canonical is a text that two values share when JSON Schema calls them equal: 1 and 1.0 are.
func canonical(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case json.Number:
		return exact(v).RatString()
	case []any:
		list := make([]string, len(v))
		for i, one := range v {
			list[i] = canonical(one)
		}
		return "[" + strings.Join(list, ",") + "]"
	case map[string]any:
		var list []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			list = append(list, strconv.Quote(key)+":"+canonical(v[key]))
		}
		return "{" + strings.Join(list, ",") + "}"
	}
	return fmt.Sprint(v) // nil, true, false
}

// exact is the value of a number: as it is written, or as nearly as a float can tell where it is written with an exponent
// of more than three digits, which would take all memory to write out.
func exact(n json.Number) *big.Rat {
	text := string(n)
	if i := strings.IndexAny(text, "eE"); i < 0 || len(text)-i <= len("e+999") {
		if r, ok := new(big.Rat).SetString(text); ok {
			return r
		}
	}
	f, _ := strconv.ParseFloat(text, 64) // an infinity where it is out of range, 0 where it is no number
	return new(big.Rat).SetFloat64(max(-math.MaxFloat64, min(math.MaxFloat64, f)))
}
