package scrape

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// rules reads rules from JSON, as in a config.
func rulesOf(t *testing.T, text string) []rule {
	t.Helper()
	var all []Rule
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	compiled, err := compile("relabel", all)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// labelsOf reads a=1,b=2.
func labelsOf(text string) (l labels) {
	for pair := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(pair, "=")
		l.set(key, value)
	}
	return l
}

func (l labels) String() string {
	var all []string
	for _, t := range l {
		all = append(all, t.Key+"="+t.Value)
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

func TestRelabel(t *testing.T) {
	f := func(rules, before, want string) {
		t.Helper()
		l := labelsOf(before)
		got := "dropped"
		if l.relabel(rulesOf(t, rules)) {
			got = l.String()
		}
		if got != want {
			t.Errorf("%s of %s: %s, want %s", rules, before, got, want)
		}
	}
	f(`[]`, "a=1", "a=1")
	f(`[{"target_label":"c","replacement":"x"}]`, "a=1", "a=1,c=x")
	f(`[{"source_labels":["a"],"target_label":"c"}]`, "a=1", "a=1,c=1")
	f(`[{"source_labels":["a","b"],"target_label":"c"}]`, "a=1,b=2", "a=1,b=2,c=1;2")
	f(`[{"source_labels":["a","b"],"separator":"","target_label":"c"}]`, "a=1,b=2", "a=1,b=2,c=12")
	f(`[{"source_labels":["none"],"target_label":"a"}]`, "a=1", "")
	f(`[{"source_labels":["a"],"regex":"(.*):.*","target_label":"c","replacement":"<${1}>"}]`, "a=h:1", "a=h:1,c=<h>")
	f(`[{"source_labels":["a"],"regex":"h","target_label":"c"}]`, "a=h:1", "a=h:1") // from begin to end
	f(`[{"source_labels":["a"],"regex":"(.*)=(.*)","target_label":"$1","replacement":"$2"}]`, "a=k=v", "a=k=v,k=v")
	f(`[{"source_labels":["a"],"regex":"x(.*)","target_label":"a","replacement":""}]`, "a=xy,b=1", "b=1")
	f(`[{"source_labels":["a"],"regex":"","target_label":"c","replacement":"x"}]`, "a=1", "a=1") // nothing, not anything
	f(`[{"source_labels":"b","regex":"","target_label":"c","replacement":"x"}]`, "a=1", "a=1,c=x")
	f(`[{"action":"Drop","source_labels":["b"],"regex":""}]`, "a=1", "dropped")
	f(`[{"action":"keep","source_labels":["a"],"regex":"1|2"}]`, "a=2", "a=2")
	f(`[{"action":"keep","source_labels":["a"],"regex":"1|2"}]`, "a=12", "dropped")
	f(`[{"action":"drop","source_labels":["a"],"regex":"1|2"}]`, "a=1", "dropped")
	f(`[{"action":"drop","source_labels":["a"],"regex":"1|2"}]`, "a=3", "a=3")
	f(`[{"action":"labelmap","regex":"meta_(.*)"}]`, "meta_a=1,meta_b=2,c=3", "a=1,b=2,c=3,meta_a=1,meta_b=2")
	f(`[{"action":"labelmap","regex":"meta_(.*)","replacement":"$2"}]`, "meta_a=1", "meta_a=1")
	f(`[{"action":"labeldrop","regex":"meta_.*"}]`, "meta_a=1,c=3", "c=3")
	f(`[{"action":"labelkeep","regex":"c|d"}]`, "meta_a=1,c=3", "c=3")
	f(`[{"action":"lowercase","source_labels":["a"],"target_label":"a"}]`, "a=AbÉ", "a=abé")
	f(`[{"action":"uppercase","source_labels":["a"],"target_label":"b"}]`, "a=ab", "a=ab,b=AB")
	f(`[{"action":"keepequal","source_labels":["a"],"target_label":"b"}]`, "a=1,b=1", "a=1,b=1")
	f(`[{"action":"keepequal","source_labels":["a"],"target_label":"b"}]`, "a=1,b=2", "dropped")
	f(`[{"action":"dropequal","source_labels":["a"],"target_label":"b"}]`, "a=1,b=1", "dropped")
	f(`[{"action":"dropequal","source_labels":["a"],"target_label":"b"}]`, "a=1,b=2", "a=1,b=2")
	// From the tests of Prometheus: foo;bar modulo 1000.
	f(`[{"action":"hashmod","source_labels":["c"],"modulus":1000,"target_label":"d"}]`, "a=foo,b=bar,c=baz", "a=foo,b=bar,c=baz,d=976")
}

func TestRulesAtFault(t *testing.T) {
	f := func(rule, want string) {
		t.Helper()
		var r Rule
		if err := json.Unmarshal([]byte(rule), &r); err != nil {
			t.Fatal(err)
		}
		if _, err := compile("relabel", []Rule{{TargetLabel: "a"}, r}); !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %v, want %s", rule, err, want)
		}
	}
	f(`{"action":"rename","target_label":"a"}`, `relabel[1]: action "rename": want one of replace, hashmod`)
	f(`{"regex":"(","target_label":"a"}`, `relabel[1]: regex "(": error parsing regexp`)
	f(`{}`, "relabel[1]: action replace: name the target_label")
	f(`{"action":"drop","regex":"go_.*"}`, "relabel[1]: action drop: name the source_labels, such as [__name__]")
	f(`{"action":"keepequal","target_label":"a"}`, "relabel[1]: action keepequal: name the source_labels")
	f(`{"action":"labeldrop"}`, "relabel[1]: action labeldrop: give a regex, which the names of labels are to match")
	f(`{"action":"labelkeep","source_labels":["a"],"regex":"b"}`, "relabel[1]: action labelkeep looks at the names of all labels: take source_labels out")
	f(`{"action":"hashmod","source_labels":["b"],"target_label":"a"}`, "relabel[1]: action hashmod: give a modulus of 1 or more")
}
