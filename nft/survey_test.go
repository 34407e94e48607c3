package nft

import (
	"reflect"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// TestASurveyServesTheFirstCommit unless somebody has changed nf_tables since.
func TestASurveyServesTheFirstCommit(t *testing.T) {
	for name, c := range map[string]struct {
		change string // what a stranger does after it
		serves bool
	}{
		"nothing has changed":              {"", true},
		"a rule of ours is gone":           {"flush chain inet dockerwall c_000000000001", false},
		"a table of somebody else is made": {"add table inet theirs", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := sample()
			n := loaded(t, r)
			k := open(t, n)
			k.Survey()
			s := k.survey
			<-s.done
			if c.change != "" {
				lab.Nft(t, n, c.change, "-f", "-")
			}
			generation, err := liveReader{conn: k.raw}.generation()
			if err != nil {
				t.Fatal(err)
			}
			read, serves := k.surveyed(generation)
			if serves != c.serves {
				t.Fatalf("it serves: %v", serves)
			}
			if now, err := k.read(); err != nil || serves && !reflect.DeepEqual(now, read) {
				t.Errorf("%v; it is not what is read now", err)
			}
			k.survey = s
			apply(t, k, r)
			if k.survey != nil {
				t.Error("it would serve twice")
			}
			sameAsLive(t, n, r, name)
		})
	}
}
