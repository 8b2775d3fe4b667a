package config

import "strings"

// Suggest returns the name in from that word most likely meant, "" when none is near.
// Near is one typing error for a short word and three for a long one; of equally near names the
// first wins.
func Suggest(word string, from []string) string {
	const longest = 64
	if word == "" || len(word) > longest {
		return ""
	}
	best, least := "", allowance(word)+1
	for _, name := range from {
		if len(name) > longest || name == word {
			continue
		}
		if d := distance(plain(word), plain(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// allowance is how many typing errors a word of this length may have.
func allowance(word string) int {
	return min(3, (len(word)+2)/3)
}

// plain forgets what people mix up without thinking of it as a mistake.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "-", "_")
}

// distance counts the letters to insert, delete, replace, or swap with their neighbour to make a into b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// didYouMean makes a hint of the nearest name, and otherwise gives the hint it was handed.
func didYouMean(word string, from []string, otherwise string) string {
	if s := Suggest(word, from); s != "" {
		return "did you mean " + s + "?"
	}
	return otherwise
}
