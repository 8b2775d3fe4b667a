package filter

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"

	"github.com/pacewire/pacewire/telemetry"
)

// A planner turns a checked expression into conditions: and, or, not as operations on masks, their operands as passes over
// columns where they have a common form, as programs run for each point where not.
type planner struct {
	scan   *scan
	config *conf.Config
	source file.Source
}

func (p *planner) condition(n ast.Node) (condition, error) {
	switch n := n.(type) {
	case *ast.UnaryNode:
		if n.Operator == "not" || n.Operator == "!" {
			c, err := p.condition(n.Node)
			return not{c}, err
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "and", "&&":
			parts, err := p.operands(n, "and", "&&")
			return allOf(parts), err
		case "or", "||":
			parts, err := p.operands(n, "or", "||")
			return anyOf(parts), err
		}
	}
	if c := common(n); c != nil {
		return c, nil
	}
	if b, ok := n.(*ast.BinaryNode); ok && slices.Contains(arithmetic, b.Operator) {
		fault := &file.Error{Location: b.Location(), Message: "a number is no condition, compare it, as > 90"}
		return nil, explain(p.source.String(), fault.Bind(p.source))
	}
	return p.rows(n)
}

// arithmetic are the operators that make a number.
var arithmetic = []string{"+", "-", "*", "/", "%", "**", "^"}

// operands returns what stands between the and's, or the or's, of n; the cheapest first, which changes nothing but the
// time it takes: a condition is true or false whatever else is asked.
func (p *planner) operands(n ast.Node, word, sign string) ([]condition, error) {
	if b, ok := n.(*ast.BinaryNode); ok && (b.Operator == word || b.Operator == sign) {
		left, err := p.operands(b.Left, word, sign)
		if err != nil {
			return nil, err
		}
		right, err := p.operands(b.Right, word, sign)
		parts := append(left, right...)
		slices.SortStableFunc(parts, func(a, b condition) int { return cost(a) - cost(b) })
		return parts, err
	}
	c, err := p.condition(n)
	return []condition{c}, err
}

// common returns the condition n states if it is one of the common forms, else nil.
func common(n ast.Node) condition {
	switch n := n.(type) {
	case *ast.BoolNode:
		return constant(n.Value)
	case *ast.MemberNode:
		if o, ok := operandOf(n); ok && o.kind == kindField {
			return boolTest{o.name, true}
		}
	case *ast.CallNode:
		return globTest(n)
	case *ast.BinaryNode:
		return commonBinary(n)
	}
	return nil
}

func commonBinary(n *ast.BinaryNode) condition {
	switch n.Operator {
	case "==", "!=", "<", "<=", ">", ">=":
		return comparison(n.Operator, n.Left, n.Right)
	case "in":
		return membership(n.Left, n.Right)
	}
	left, ok := operandOf(n.Left)
	right, isText := n.Right.(*ast.StringNode)
	if !ok || !isText || left.kind > kindField {
		return nil
	}
	want := right.Value
	switch n.Operator {
	case "contains":
		return textTest{left, func(text string) bool { return strings.Contains(text, want) }}
	case "startsWith":
		return textTest{left, func(text string) bool { return strings.HasPrefix(text, want) }}
	case "endsWith":
		return textTest{left, func(text string) bool { return strings.HasSuffix(text, want) }}
	case "matches":
		if re, err := regexp.Compile(want); err == nil {
			return textTest{left, re.MatchString}
		}
	}
	return nil
}

// globTest returns the condition of a call of glob with a constant pattern.
func globTest(n *ast.CallNode) condition {
	name, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || name.Value != "glob" || len(n.Arguments) != 2 {
		return nil
	}
	of, ok := operandOf(n.Arguments[0])
	pattern, isText := n.Arguments[1].(*ast.StringNode)
	if !ok || !isText || of.kind > kindField {
		return nil
	}
	return textTest{of, func(text string) bool {
		ok, _ := path.Match(pattern.Value, text) // the pattern was tried before
		return ok
	}}
}

func comparison(op string, l, r ast.Node) condition {
	if c := timeComparison(op, l, r); c != nil {
		return c
	}
	left, ok := operandOf(l)
	right, ok2 := operandOf(r)
	switch {
	case !ok || !ok2 || left.kind == kindTime || right.kind == kindTime:
		return nil
	case left.kind != kindValue && right.kind != kindValue:
		return pairTest{op, left, right}
	case left.kind == kindValue && right.kind == kindValue:
		return nil
	case left.kind == kindValue:
		return against(mirrored(op), right, left.value)
	}
	return against(op, left, right.value)
}

// against returns the comparison of a column with a constant.
func against(op string, o operand, c telemetry.Value) condition {
	equality := op == "==" || op == "!="
	switch c.Type() {
	case telemetry.TypeString:
		want := c.Text()
		return textTest{o, func(text string) bool { return holds(op, strings.Compare(text, want)) }}
	case telemetry.TypeBool:
		if o.kind == kindField && equality {
			return boolTest{o.name, c.Bool() == (op == "==")}
		}
	case 0: // nil
		switch {
		case o.kind != kindField || !equality:
		case op == "==":
			return not{presentTest{o.name}}
		default:
			return presentTest{o.name}
		}
	default:
		if o.kind == kindField {
			return newNumberTest(o.name, op, c)
		}
	}
	return nil
}

// membership returns the condition that l is in a list of constants.
func membership(l, r ast.Node) condition {
	of, ok := operandOf(l)
	list, isList := r.(*ast.ArrayNode)
	if !ok || !isList || of.kind > kindField {
		return nil
	}
	texts := make(map[string]bool, len(list.Nodes))
	var equals anyOf
	for _, n := range list.Nodes {
		o, ok := operandOf(n)
		if !ok || o.kind != kindValue || !o.value.Present() {
			return nil
		}
		c := against("==", of, o.value)
		if c == nil {
			return nil
		}
		if o.value.Type() == telemetry.TypeString {
			texts[o.value.Text()] = true
		} else {
			equals = append(equals, c)
		}
	}
	if len(texts) > 0 {
		equals = append(equals, textTest{of, func(text string) bool { return texts[text] }})
	}
	if len(equals) == 1 {
		return equals[0]
	}
	return equals
}

// timeComparison returns the comparison of the time of points with a moment.
func timeComparison(op string, l, r ast.Node) condition {
	if m, ok := momentOf(r); ok && isOwnTime(l) {
		return timeTest{op, m}
	}
	if m, ok := momentOf(l); ok && isOwnTime(r) {
		return timeTest{mirrored(op), m}
	}
	return nil
}

func isOwnTime(n ast.Node) bool {
	o, ok := operandOf(n)
	return ok && o.kind == kindTime
}

// momentOf returns the moment that n is, where it does not depend on the point.
func momentOf(n ast.Node) (m moment, ok bool) {
	switch n := n.(type) {
	case *ast.ConstantNode:
		m.fixed, ok = n.Value.(time.Time)
		return m, ok
	case *ast.CallNode:
		return m, isTime(n)
	case *ast.BinaryNode:
		d, isDuration := n.Right.(*ast.ConstantNode)
		if m, ok = momentOf(n.Left); !ok || !isDuration || !isTime(n) {
			return m, false
		}
		by, ok := d.Value.(time.Duration)
		if n.Operator == "-" {
			by = -by
		}
		m.offset += by
		return m, ok
	}
	return m, false
}

// operandOf returns the operand that n is. ok is false when n has to be computed.
func operandOf(n ast.Node) (o operand, ok bool) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		switch n.Value {
		case "series":
			return operand{kind: kindSeries}, true
		case "time":
			return operand{kind: kindTime}, true
		}
		return o, false
	case *ast.MemberNode:
		return columnOf(n)
	}
	v, ok := valueOf(n)
	return operand{kind: kindValue, value: v}, ok
}

// columnOf returns the tag or the field that n reads.
func columnOf(n *ast.MemberNode) (o operand, ok bool) {
	of, isName := n.Node.(*ast.IdentifierNode)
	key, isText := n.Property.(*ast.StringNode)
	if !isName || !isText || n.Method {
		return o, false
	}
	switch of.Value {
	case "tags":
		return operand{kind: kindTag, name: key.Value}, true
	case "fields":
		return operand{kind: kindField, name: key.Value}, true
	}
	return o, false
}

// valueOf returns the constant that n is, no value for nil.
func valueOf(n ast.Node) (v telemetry.Value, ok bool) {
	switch n := n.(type) {
	case *ast.NilNode:
		return v, true
	case *ast.BoolNode:
		return telemetry.Bool(n.Value), true
	case *ast.StringNode:
		return telemetry.String(n.Value), true
	case *ast.IntegerNode:
		return telemetry.Int(int64(n.Value)), true
	case *ast.FloatNode:
		return telemetry.Float(n.Value), true
	case *ast.UnaryNode:
		return signed(n)
	}
	return v, false
}

// signed returns the number that n is with its sign.
func signed(n *ast.UnaryNode) (v telemetry.Value, ok bool) {
	v, ok = valueOf(n.Node)
	switch {
	case !ok || !isNumber(v):
		return v, false
	case n.Operator == "+":
		return v, true
	case n.Operator != "-":
		return v, false
	case v.Type() == telemetry.TypeInt:
		return telemetry.Int(-v.Int()), true
	}
	return telemetry.Float(-v.Float()), true
}
