"""The command line: the commands, their options from the table, and invalid arguments."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from gate import __version__
from gate.flow.run import run_gate
from gate.flow.signals import Signals
from gate.model.reasons import InvalidOption, Reason
from gate.options.table import DOCTOR_OPTIONS, JSON, KEY_VARIABLE, OPTIONS, QUIET, write_introduction, write_options
from gate.text.wording import FLAGS

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from gate.options.table import Option

PROG: Final = "threadfix-gate"
UNEXPECTED: Final = (
    "unexpected argument (value not shown); put quotes around a pattern, and around a value with spaces."
)
SHORT: Final = {"verbose": "-v", "quiet": "-q"}


class _Command(click.Command):
    """A command that collects its invalid arguments, and groups its options in `--help`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        good, ctx.meta["invalid"] = _split_arguments(args, self.get_params(ctx))
        return super().parse_args(ctx, good)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.name == "run":
            write_introduction(formatter)
        records = ((parameter.opts[0], parameter.get_help_record(ctx)) for parameter in self.get_params(ctx))
        write_options(formatter, [(flag, record) for flag, record in records if record])


def _split_arguments(
    args: Sequence[str], parameters: Sequence[click.Parameter]
) -> tuple[list[str], tuple[InvalidOption, ...]]:
    """Return the arguments that click can parse, and an invalid option for each of the others.

    Click must see no error: its messages repeat values, and a value may be a key. It would also read the second flag of
    `--html-file --pass-criteria` as a value, and ignore the first of two values, and a requested check with it.
    """
    flags = {
        flag: option
        for option in parameters
        if isinstance(option, click.Option)
        for flag in (*option.opts, *option.secondary_opts)
    }
    places = sum(isinstance(parameter, click.Argument) for parameter in parameters)
    good: list[str] = []
    invalid: list[InvalidOption] = []
    given: set[tuple[str | None, bool]] = set()
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        name, equals, _ = arg.partition("=")
        option = flags.get(name)
        letters = [f"-{letter}" for letter in arg[1:]]
        if option is None and len(letters) > 1 and flags.keys() >= set(letters):
            rest = letters + rest
        elif option is None and places and not arg.startswith("-"):
            places -= 1
            good.append(arg)
        elif option is None:
            unknown = _unknown(name, flags)
            invalid += [unknown] if unknown not in invalid else []
            # The next argument is the value of the unknown option.
            if arg.startswith("-") and not equals and rest and not rest[0].startswith("-"):
                rest.pop(0)
        elif option.is_flag and equals:
            invalid.append(InvalidOption(name, f"{name} takes no value; write {_long(option, 'or')}."))
        elif not option.is_flag and not equals and (not rest or rest[0].startswith("--")):
            escape = f" If the value begins with --, write {name}=VALUE." if rest else ""
            invalid.append(InvalidOption(name, f"{name} requires a value.{escape}"))
        else:
            good += [arg] if option.is_flag or equals else [arg, rest.pop(0)]
            use = (option.name, name in option.secondary_opts)
            # A switch may be repeated but not contradicted.
            if not option.multiple and (use[0], use[1] ^ option.is_flag) in given:
                wrong = f"{_long(option, 'and')} contradict each other" if option.is_flag else f"{name} is given twice"
                invalid.append(InvalidOption(name, f"{wrong}; leave one of them out."))
            given.add(use)
    return good, tuple(invalid)


def _long(option: click.Option, word: str) -> str:
    return f" {word} ".join(flag for flag in (*option.opts, *option.secondary_opts) if flag.startswith("--"))


def _unknown(name: str, known: Iterable[str]) -> InvalidOption:
    if name == "--api-key":
        alternative = f"Set {KEY_VARIABLE}, or name a file with --api-key-file."
        text = f"--api-key is not an option: everybody on this machine can read a command line. {alternative}"
        return InvalidOption(KEY_VARIABLE, text)
    # Any other text may be a key: it has digits or capitals, or is longer.
    if not re.fullmatch(r"--?[a-z][a-z-]{0,29}", name):
        return InvalidOption(None, UNEXPECTED)
    import difflib

    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.65)
    hint = f"did you mean {near[0]}?" if near else "--help lists the options."
    return InvalidOption(near[0] if near else name, f"unknown option {name}; {hint}")


def _options(shown: Container[Option[Any]], texts: Mapping[Option[Any], str] | None = None) -> list[click.Parameter]:
    """Return the options of the gate, with other help in `texts`. Options that are not in `shown` are hidden."""
    parameters: list[click.Parameter] = []
    for option in OPTIONS:
        if not option.flag:
            continue
        default = "" if option.is_switch and option.default == "false" else option.default
        notes = [option.variable] + ([f"default: {default}"] if default else [])
        text = f"{FLAGS.fill((texts or {}).get(option, option.help)).replace('`', '')} [{', '.join(notes)}]"
        names = [f"--{option.name}/--no-{option.name}" if option.is_switch else f"--{option.name}"]
        names += [SHORT[option.name]] if option.name in SHORT else []
        hidden = option not in shown
        flag = click.Option(names, metavar=option.metavar, multiple=option.many, default=None, help=text, hidden=hidden)
        parameters.append(flag)
    return parameters


def _flags(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the given values as texts, by option name."""
    flags = {}
    for name, value in values.items():
        texts = value if isinstance(value, tuple) else [str(value).lower() if isinstance(value, bool) else value]
        if value is not None and texts:
            flags[name.replace("_", "-")] = list(texts)
    return flags


def _call() -> tuple[Signals, tuple[InvalidOption, ...]]:
    """Return the signals and the invalid arguments of the current command."""
    context = click.get_current_context()
    return context.obj, context.meta["invalid"]


def _run(**values: object) -> int:
    return run_gate(_flags(values), os.environ, *_call())


def _doctor(**values: object) -> int:
    from gate.doctor import run_doctor

    return run_doctor(_flags(values), os.environ, *_call())


def _sandbox(host: str, port: str, quiet: bool | None, **kind: str) -> int:  # noqa: FBT001 - click's way
    from gate.sandbox.commands import Kind, serve

    return serve(host, port, Kind(**kind), bool(quiet), *_call())


def _demo(scenario: str, speed: str, generation: str, **values: Any) -> int:  # noqa: ANN401 - click's way
    from gate.sandbox.commands import Kind, demo, list_scenarios

    if values.pop("list"):
        return list_scenarios()
    return demo(scenario, Kind(speed, generation), _flags(values), *_call())


def _commands() -> Iterator[click.Command]:
    yield _Command(
        "run",
        callback=_run,
        params=_options(OPTIONS),
        short_help="The gate: upload, wait, evaluate, report.",
        help="Upload scans to ThreadFix, wait until it has processed them, ask whether the application may be "
        "released, and say pass, fail or unknown. Each step runs only if it is requested.",
    )
    yield _Command(
        "doctor",
        callback=_doctor,
        params=_options(DOCTOR_OPTIONS, {JSON: "Print the checks as JSON.", QUIET: "Log only failures."}),
        short_help="Check URL, TLS, key, permission and ids, step by step.",
        help="Check the connection to ThreadFix (read-only), and say which step fails and what to do: DNS lookup, "
        "connection, certificate, redirects, REST API, key, permission, application, pending scan, checks of the "
        "release, clock. Takes the options of run, but needs neither application nor pending scan. Ends with the "
        "exit code of the first check that fails, or 0.",
    )
    kind = (
        click.Option(
            ["--speed"], default="1", metavar="FACTOR", help="Play the scenarios faster by this factor. [default: 1]"
        ),
        click.Option(
            ["--generation"],
            default="2.8.8",
            metavar="VERSION",
            help="Version of ThreadFix to imitate, such as 2.6.1, or legacy. [default: 2.8.8]",
        ),
    )
    yield _Command(
        "demo",
        callback=_demo,
        short_help="Watch the gate with an embedded ThreadFix.",
        help="Start the embedded ThreadFix sandbox and run the gate against one of its scenarios (default: release). "
        "Any option of `run` may be added. Ends as the gate does.",
        params=[
            click.Argument(["scenario"], default="release", required=False),
            click.Option(["--list"], is_flag=True, help="Explain each scenario."),
            *kind,
            *_options(shown=()),
        ],
    )
    yield _Command(
        "sandbox",
        callback=_sandbox,
        short_help="Serve only the embedded ThreadFix.",
        help="Serve the embedded ThreadFix until it is stopped, so that any client can be pointed at it. Prints "
        "the environment to export.",
        params=[
            click.Option(
                ["--host"], default="127.0.0.1", metavar="ADDRESS", help="Address to bind to. [default: 127.0.0.1]"
            ),
            click.Option(
                ["--port"], default="0", metavar="PORT", help="Port to bind to; 0 for any free port. [default: 0]"
            ),
            *kind,
            click.Option(["--quiet/--no-quiet", "-q"], default=None, help="Do not log the requests."),
        ],
    )


def command_group() -> click.Group:
    """Return `threadfix-gate` with all its commands."""
    group = click.Group(
        PROG,
        commands=list(_commands()),
        help="Upload a scan to ThreadFix, wait until it is processed, then say pass, fail or unknown.",
        epilog="Start with: threadfix-gate demo",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        # Versions of click differ if there is no command; `main` prints the help under each.
        no_args_is_help=False,
    )
    show = click.version_option(__version__, prog_name=PROG, message="%(prog)s %(version)s", help="Show the version.")
    return show(group)


def main(argv: Sequence[str] | None = None, signals: Signals | None = None) -> int:
    """Run a command, and return its exit code. `argv` is by default that of the process."""
    for stream in (sys.stdout, sys.stderr):
        # A log in an old encoding must not end the gate.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    args = sys.argv[1:] if argv is None else list(argv)
    group = command_group()
    if not args:
        with group.make_context(PROG, ["--"]) as ctx:
            click.echo(group.get_help(ctx), err=True)
        return Reason.USAGE.row.exit_code
    # Click's own `main` would end with 0 after a shell completion, and with 1, a fail, if a pipe is closed.
    try:
        with group.make_context(PROG, args, obj=signals or Signals()) as ctx:
            return int(group.invoke(ctx) or 0)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError:
        # Click's message repeats the argument, which may be a key.
        commands = ", ".join(group.commands)
        click.echo(f"{PROG}: unknown command (not shown). The commands are {commands}; --help explains them.", err=True)
        return Reason.USAGE.row.exit_code
    except BrokenPipeError:
        return 141  # as a shell reports it for any program
