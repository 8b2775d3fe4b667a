package filter

import (
	"cmp"
	"math"
	"strings"

	"github.com/pacewire/pacewire/telemetry"
)

// test reports whether a comparison is true. Values that do not compare make every comparison false, != too: a missing
// value, text with a number, a bool by order.
func test(op string, a, b telemetry.Value) bool {
	sign, ordered, ok := compare(a, b)
	return ok && (ordered || op == "==" || op == "!=") && holds(op, sign)
}

// holds reports whether op is true of two values of which the first is below (-1), equal to (0) or above (1) the second.
func holds(op string, sign int) bool {
	switch op {
	case "==":
		return sign == 0
	case "!=":
		return sign != 0
	case "<":
		return sign < 0
	case "<=":
		return sign <= 0
	case ">":
		return sign > 0
	}
	return sign >= 0
}

// mirrored returns the comparison that says the same with its sides swapped.
func mirrored(op string) string {
	switch op {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	}
	return op
}

// compare compares two values exactly. ok is false when they do not compare, ordered when they are equal or not, no more.
func compare(a, b telemetry.Value) (sign int, ordered, ok bool) {
	switch {
	case isNumber(a) && isNumber(b):
		return compareNumbers(a, b), true, true
	case a.Type() != b.Type() || !a.Present():
		return 0, false, false
	case a.Type() == telemetry.TypeString:
		return strings.Compare(a.Text(), b.Text()), true, true
	case a.Type() == telemetry.TypeBool:
		if a.Bool() == b.Bool() {
			return 0, false, true
		}
		return 1, false, true
	}
	return 0, false, false
}

// isNumber reports whether v is a number, which NaN is not.
func isNumber(v telemetry.Value) bool {
	switch v.Type() {
	case telemetry.TypeInt, telemetry.TypeUint:
		return true
	case telemetry.TypeFloat:
		return !math.IsNaN(v.Float())
	}
	return false
}

// compareNumbers compares two numbers of any types, also where one of them has no exact float64.
func compareNumbers(a, b telemetry.Value) int {
	switch {
	case a.Type() == telemetry.TypeFloat && b.Type() == telemetry.TypeFloat:
		return cmp.Compare(a.Float(), b.Float())
	case a.Type() == telemetry.TypeFloat:
		return compareFloat(a.Float(), b)
	case b.Type() == telemetry.TypeFloat:
		return -compareFloat(b.Float(), a)
	case a.Type() == b.Type() && a.Type() == telemetry.TypeInt:
		return cmp.Compare(a.Int(), b.Int())
	case a.Type() == telemetry.TypeInt && a.Int() < 0:
		return -1
	case b.Type() == telemetry.TypeInt && b.Int() < 0:
		return 1
	}
	return cmp.Compare(a.Uint(), b.Uint()) // the bits of an int that is not negative are those of a uint
}

// compareFloat compares f with the integer n. Rounding n keeps the order, so only a tie has to be looked at closely.
func compareFloat(f float64, n telemetry.Value) int {
	if rounded := n.Float(); f != rounded {
		return cmp.Compare(f, rounded)
	}
	if n.Type() == telemetry.TypeInt {
		if f >= 1<<63 {
			return 1
		}
		return cmp.Compare(int64(f), n.Int())
	}
	if f >= 1<<64 {
		return 1
	}
	return cmp.Compare(uint64(f), n.Uint())
}
