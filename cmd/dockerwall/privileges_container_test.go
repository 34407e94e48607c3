package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// inContainer runs the file with a capability as a user in a container, where the Engine gives users none.
func (w *world) inContainer(t *testing.T) {
	if !strings.Contains(document(t, "docs/privileges.md"), "\nRUN setcap "+capability+" /dockerwall\n") {
		t.Error("the document's image has another capability")
	}
	image := w.engine.Command(t.Context(), "import", "--change", `ENTRYPOINT ["/dockerwall.capable", "run"]`, "-", "capable")
	tar := w.HostCommand(t.Context(), "tar", "--xattrs", "--xattrs-include=security.capability", "-C", "/run/program", "-c", "dockerwall.capable")
	content, err := tar.Output()
	if err != nil {
		t.Fatal(err)
	}
	image.Stdin = bytes.NewReader(content)
	if out, err := image.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, c := range map[string]struct {
		more []string
		says string
	}{
		"by its file capability":              {nil, "table committed"},
		"under no-new-privileges it has none": {[]string{"--security-opt=no-new-privileges"}, "under no-new-privileges a file capability is none"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"run", "--detach", "--name=dockerwall", "--network=host", "--user=" + nobody + ":" + nobody, "--group-add=" + engineGroup,
				"--cap-drop=ALL", "--cap-add=NET_ADMIN", "--read-only", "--volume=/run/docker.sock:/var/run/docker.sock"}
			w.docker(t, append(append(args, c.more...), "capable")...)
			defer w.remove(t)
			eventually(t, func() error {
				if log := w.containerLog(t); !strings.Contains(log, c.says) {
					return fmt.Errorf("no %q in\n%s", c.says, log)
				}
				return nil
			})
		})
	}
}
