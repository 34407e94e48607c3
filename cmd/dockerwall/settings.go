package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dockerwall/dockerwall/metrics"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

// settings are what an operator can set. Each has a flag, an environment variable and maybe one from
// the program that dockerwall succeeds; see declare.
type settings struct {
	networks    string
	outbound    string
	dryRun      string
	logLevel    string
	logFormat   string
	socket      string
	metricsAddr string
	metricsBy   string
	metricsOld  string
	webAllow    string
	nflogGroup  string
	resolvers   string
	private     string
	dnsHold     string
	dnsQueue    string
	trustImages string
	decisionLog string
	stateDir    string
	policyDir   string

	problems []policy.Problem // in them, once config has read them
}

// setting ties a flag to its variables.
type setting struct {
	flag   string
	env    string
	legacy string // the older variable, "" if there is none
	value  *string
	preset string
	usage  string
}

const (
	defaultSocket     = "/run/dockerwall/dockerwall.sock"
	defaultNflogGroup = 32
	defaultDNSQueue   = 5300
)

func (s *settings) common() []setting {
	return []setting{
		{"log-level", "DOCKERWALL_LOG_LEVEL", "LOG_LEVEL", &s.logLevel, "info", "debug, info, warning or error"},
		{"log-format", "DOCKERWALL_LOG_FORMAT", "", &s.logFormat, "text", "text or json"},
		{"socket", "DOCKERWALL_SOCKET", "", &s.socket, defaultSocket, "unix socket of the daemon's API"},
	}
}

func (s *settings) policy() []setting {
	return []setting{
		{"gateway-networks", "DOCKERWALL_GATEWAY_NETWORKS", "GATEWAY_NETWORKS", &s.networks, "",
			"networks to fence, by comma: none named means every bridge network, !name leaves one alone"},
		{"default-outbound", "DOCKERWALL_DEFAULT_OUTBOUND", "DEFAULT_OUTBOUND", &s.outbound, "",
			"what every container may reach besides its label, in the label's grammar"},
		{"dry-run", "DOCKERWALL_DRY_RUN", "DRY_RUN", &s.dryRun, "false", "deny nothing, log and count what would be denied"},
		{"trust-image-labels", "DOCKERWALL_TRUST_IMAGE_LABELS", "TRUST_IMAGE_LABELS", &s.trustImages, "false",
			"obey dockerwall.* labels that come from an image"},
		{"resolvers", "DOCKERWALL_RESOLVERS", "", &s.resolvers, "",
			"DNS servers besides those found on the host, address or address:port, by comma"},
		{"private-names", "DOCKERWALL_PRIVATE_NAMES", "", &s.private, "",
			"zones, by comma: there a wildcard may open private addresses too"},
		{"policy-dir", "DOCKERWALL_POLICY_DIR", "", &s.policyDir, "/etc/dockerwall/policy.d",
			"directory of the operator's policies and groups, read again when they change; off for none"},
		{"nflog-group", "DOCKERWALL_NFLOG_GROUP", "", &s.nflogGroup, strconv.Itoa(defaultNflogGroup), "nflog group that denied packets are copied to"},
	}
}

func (s *settings) daemon() []setting {
	return []setting{
		{"dns-hold", "DOCKERWALL_DNS_HOLD", "", &s.dnsHold, "auto",
			"how DNS answers are learned before containers have them: auto, queue, xt, copy or off"},
		{"dns-queue", "DOCKERWALL_DNS_QUEUE", "", &s.dnsQueue, strconv.Itoa(defaultDNSQueue),
			"number of the nfqueue queue that DNS answers wait in, or of the nflog group of copies"},
		{"metrics-addr", "DOCKERWALL_METRICS_ADDR", "", &s.metricsAddr, ":50000", "where /metrics listens; off for nowhere"},
		{"decision-log", "DOCKERWALL_DECISION_LOG", "", &s.decisionLog, "", "file that gets a line of JSON for each denial; SIGHUP opens it anew"},
		{"metrics-destination", "DOCKERWALL_METRICS_DESTINATION", "", &s.metricsBy, "ip",
			"how dockerwall_dropped_packets names destinations: ip, domain, prefix or none"},
		{"metrics-compat", "DOCKERWALL_METRICS_COMPAT", "METRICS_COMPAT", &s.metricsOld, "true",
			"export the three families of the older dockerwall too, dockerwall_dropped_packets among them"},
		{"web-allow", "DOCKERWALL_WEB_ALLOW", "", &s.webAllow, "",
			"who may see the status page besides this host, prefixes by comma; containers never do"},
		s.state()[0],
	}
}

func (s *settings) state() []setting {
	return []setting{
		{"state-dir", "DOCKERWALL_STATE_DIR", "", &s.stateDir, "/var/lib/dockerwall",
			"where the daemon keeps observations, changes at run time, good policy files and what fences after a boot; off for nowhere"},
	}
}

// declare makes the flags. Before the command runs, those not given take their variables' values.
func declare(c *cobra.Command, env environment, list []setting) {
	for _, s := range list {
		usage := s.usage + " [$" + s.env
		if s.legacy != "" {
			usage += ", $" + s.legacy
		}
		c.Flags().StringVar(s.value, s.flag, s.preset, usage+"]")
		if b := c.Flags().Lookup(s.flag); s.preset == "false" || s.preset == "true" {
			b.NoOptDefVal = "true"
		}
	}
	c.PreRun = func(c *cobra.Command, _ []string) {
		for _, s := range list {
			s.fill(c.Flags().Lookup(s.flag), env)
		}
	}
}

// fill takes the value by precedence: flag, DOCKERWALL_* variable, older variable, default. Two
// variables that disagree are told of.
func (s setting) fill(f *pflag.Flag, env environment) {
	value, old := env.getenv(s.env), ""
	if s.legacy != "" {
		old = env.getenv(s.legacy)
	}
	if value != "" && old != "" && value != old {
		fmt.Fprintf(env.err, "dockerwall: $%s and $%s differ; $%s counts\n", s.env, s.legacy, s.env)
	}
	switch {
	case f.Changed:
	case value != "":
		*s.value = value
	case old != "":
		*s.value = old
	}
}

// config parses what concerns the ruleset. Mistakes in DEFAULT_OUTBOUND and GATEWAY_NETWORKS are
// logged and fence harder; values that cannot be understood at all are a usage error.
func (s *settings) config(logger *slog.Logger) (reconcile.Config, error) {
	var c reconcile.Config
	var problems []policy.Problem
	c.Networks, problems = policy.ParseNetworks(s.networks)
	s.warn(logger, "GATEWAY_NETWORKS", problems)
	c.DefaultText = s.outbound
	c.Default, problems = policy.AnyGroup().Parse(s.outbound) // who builds knows which groups there are
	s.warn(logger, "DEFAULT_OUTBOUND", problems)
	var err error
	if c.DryRun, err = s.boolean("dry-run", s.dryRun); err != nil {
		return c, err
	}
	group, err := strconv.ParseUint(s.nflogGroup, 10, 16)
	if err != nil || group == 0 { // group 0 is what programs without a choice of their own log to
		return c, usageError{fmt.Errorf("%s: %q: want a number from 1 to 65535", s.spelled("nflog-group"), s.nflogGroup)}
	}
	c.LogGroup = uint16(group)
	c.PrivateNames, err = s.privateNames()
	return c, err
}

// privateNames are the zones of --private-names.
func (s *settings) privateNames() (zones []string, err error) {
	for zone := range strings.SplitSeq(s.private, ",") {
		if zone = strings.TrimSpace(zone); zone == "" {
			continue
		}
		p, err := policy.ParsePattern("*." + strings.TrimPrefix(zone, "*."))
		if err != nil {
			return nil, usageError{fmt.Errorf("%s: %q: %w", s.spelled("private-names"), zone, err)}
		}
		zones = append(zones, p.Name())
	}
	return zones, nil
}

// dnsHolding reads how DNS answers are to be held, given what the kernel's rules can say.
func (s *settings) dnsHolding(can []nft.TapMode) (modes []nft.TapMode, number uint16, err error) {
	if !slices.Contains([]string{"auto", "queue", "xt", "copy", "off"}, s.dnsHold) {
		return nil, 0, usageError{fmt.Errorf("%s: %q: want auto, queue, xt, copy or off", s.spelled("dns-hold"), s.dnsHold)}
	}
	n, err := strconv.ParseUint(s.dnsQueue, 10, 16)
	if err != nil || n == 0 { // 0 is what programs without a choice of their own use
		return nil, 0, usageError{fmt.Errorf("%s: %q: want a number from 1 to 65535", s.spelled("dns-queue"), s.dnsQueue)}
	}
	return tapModes(s.dnsHold, can), uint16(n), nil
}

// warn logs problems in a setting and keeps them for the status.
func (s *settings) warn(logger *slog.Logger, setting string, problems []policy.Problem) {
	for _, p := range problems {
		logger.Warn("problem in a setting", "setting", setting, "what", p.String())
		p.Label = setting
		s.problems = append(s.problems, p)
	}
}

// directory is where state is kept, "" for nowhere.
func (s *settings) directory() string {
	if s.stateDir == "off" {
		return ""
	}
	return s.stateDir
}

// metrics are the options that settings and the build say.
func (s *settings) metrics() (metrics.Options, error) {
	compat, err := s.boolean("metrics-compat", s.metricsOld)
	info := buildInfo()
	return metrics.Options{
		Destination: metrics.Destination(s.metricsBy), NoCompat: !compat, Version: info.Version, Revision: info.Revision,
	}, err
}

// spelled is how a setting can be given: "--dry-run or $DOCKERWALL_DRY_RUN or $DRY_RUN".
func (s *settings) spelled(flag string) string {
	for _, one := range slices.Concat(s.common(), s.policy(), s.daemon()) {
		switch {
		case one.flag == flag && one.legacy != "":
			return "--" + flag + " or $" + one.env + " or $" + one.legacy
		case one.flag == flag:
			return "--" + flag + " or $" + one.env
		}
	}
	return "--" + flag
}

func (s *settings) boolean(flag, value string) (bool, error) {
	if value == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(value)
	if err != nil {
		return false, usageError{fmt.Errorf("%s: %q: want true or false", s.spelled(flag), value)}
	}
	return b, nil
}

// features turns off what the kernel was found to lack.
func features(c reconcile.Config, f nft.Features) reconcile.Config {
	c.NoElementLimit, c.BindPorts = !f.ElementLimit, f.Ports
	return c
}
