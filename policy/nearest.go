package policy

// nearest returns which of the words differs least from s, or "" when the two differ in more than half
// of what follows the prefix that all share.
func nearest(s string, words ...string) string {
	best, found := len(s), ""
	for _, w := range words {
		if len(s) > 2*len(w) {
			continue
		}
		if d := distance(s, w); d < best && d <= (max(len(s), len(w))-len(labelPrefix))/2 {
			best, found = d, w
		}
	}
	return found
}

// distance is how many bytes must be inserted, removed or replaced to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
