"""CMake and gcc: configure, compile, link, test."""

from __future__ import annotations

from tools.record.fault import Dependency, Fault, Sandbox, Span, kind
from tools.record.projects import cpp

TOOLS = {"cmake": "cmake --version", "gcc": "gcc --version"}
CONFIGURE = "cmake -S . -B build -DCMAKE_BUILD_TYPE=Debug"


def _project(
    count: int, run: int, *, minimum: str = "3.16", extra: str = "", main: str = "", sources: tuple[str, ...] = ()
) -> dict[str, str]:
    files, found = cpp(count, run)
    listed = "\n  ".join([*found, *sources])
    files["CMakeLists.txt"] = f"""\
cmake_minimum_required(VERSION {minimum})
project(imaging VERSION 2.{run}.0 LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 17)
add_library(imaging STATIC
  {listed})
target_include_directories(imaging PUBLIC include)
target_compile_options(imaging PRIVATE -Wall -Wextra)
add_executable(convert src/main.cpp)
target_link_libraries(convert imaging)
enable_testing()
{extra}"""
    files["src/main.cpp"] = main or (
        '#include "invoice.hpp"\n#include <iostream>\n\nint main() {\n'
        '  Invoice invoice{"x", {1, 2}};\n  std::cout << invoice.total() << std::endl;\n}\n'
    )
    return files


@kind("cmake/compile_error", {"wrong": "std::string"}, {"wrong": "Voucher"}, keep=(3, 1), tools=TOOLS)
def compile_error(run: int, wrong: str) -> Fault:
    """A member that does not exist and a conversion that is not allowed."""
    files = _project(14, run, sources=("src/scale.cpp",))
    files["src/scale.cpp"] = (
        '#include "invoice.hpp"\n#include "voucher.hpp"\n\n'
        + "// Another line.\n" * run
        + f"{wrong} scale(const Invoice& invoice) {{\n  return invoice.total() * 2;\n}}\n\n"
        "long height(const Invoice& invoice) {\n  return invoice.height;\n}\n"
    )
    return Fault(
        repo="acme/imaging",
        job="build",
        category="compile",
        files=files,
        script=(CONFIGURE, "cmake --build build --parallel 2"),
        spans=(Span(r"src/scale.cpp:\d+:\d+: error:", every=True),),
        style="steps" if run == 1 else "plain",
    )


@kind("cmake/undefined_reference", {"symbol": "encode_tile"}, keep=(2,), tools=TOOLS)
def undefined_reference(run: int, symbol: str) -> Fault:
    """A function that is declared, called and nowhere defined."""
    main = (
        f'#include "invoice.hpp"\n\nint {symbol}(const Invoice& invoice);\n\n'
        f"int main() {{\n  return {symbol}(Invoice{{}});\n}}\n"
    )
    return Fault(
        repo="acme/imaging",
        job="link",
        category="build",
        alt=("compile",),
        files=_project(12, run, main=main),
        script=(CONFIGURE, "cmake --build build"),
        spans=(Span(rf"undefined reference to .{symbol}", r"collect2: error: ld returned 1"),),
    )


@kind("cmake/package_not_found", {"name": "OpenCV"}, {"name": "Protobuf"}, keep=(2, 1), tools=TOOLS)
def package_not_found(run: int, name: str) -> Fault:
    """find_package does not find a library."""
    return Fault(
        repo="acme/imaging",
        job="configure",
        category="dependency_missing",
        alt=("environment", "dependency_resolution"),
        dependency=Dependency(name, None, "generic", accept=(name.upper(), name.lower())),
        files=_project(8, run, extra=f"find_package({name} REQUIRED)\n"),
        script=("cmake --version", CONFIGURE),
        spans=(Span(r"^CMake Error at", rf"{name}"),),
        style="steps" if run else "plain",
    )


@kind("cmake/header_missing", {"header": "zmq.hpp", "name": "zmq"}, keep=(2,), tools=TOOLS)
def header_missing(run: int, header: str, name: str) -> Fault:
    """A library's header is not installed."""
    files = _project(9, run, sources=("src/feed.cpp",))
    files["src/feed.cpp"] = f"#include <{header}>\n\nint feed() {{ return 1; }}\n"
    return Fault(
        repo="acme/imaging",
        job="build",
        category="dependency_missing",
        alt=("compile", "environment"),
        dependency=Dependency(name, None, "generic", accept=(header, "cppzmq", "libzmq")),
        files=files,
        script=(CONFIGURE, "cmake --build build"),
        spans=(Span(rf"fatal error: {header}: No such file"),),
    )


@kind("cmake/too_old", {"minimum": "4.9"}, keep=(1,), tools=TOOLS)
def too_old(run: int, minimum: str) -> Fault:
    """The project asks for a newer CMake than the image has."""
    return Fault(
        repo="acme/imaging",
        job="configure",
        category="environment",
        alt=("dependency_incompatible",),
        dependency=Dependency("cmake", minimum, "generic", accept=("CMake",)),
        files=_project(5, run, minimum=minimum),
        script=("cmake --version", CONFIGURE),
        spans=(Span(rf"CMake {minimum} or higher is required"),),
    )


CTEST = """\
add_executable(unit tests/unit.cpp)
target_link_libraries(unit imaging)
foreach(name RANGE 1 {count})
  add_test(NAME case_${{name}} COMMAND unit ${{name}})
endforeach()
"""


@kind("cmake/ctest_failure", {"case": 7}, {"case": 11}, keep=(2, 1), tools=TOOLS)
def ctest_failure(run: int, case: int) -> Fault:
    """One test among many ends with a failed check."""
    files = _project(8, run, extra=CTEST.format(count=1500 + run))
    files["tests/unit.cpp"] = (
        '#include "invoice.hpp"\n#include <cstdlib>\n#include <iostream>\n\nint main(int, char** arguments) {\n'
        '  long number = std::atol(arguments[1]);\n  Invoice invoice{"x", {number, 1}};\n'
        f"  long wanted = number == {case} ? number : number + 1;\n"
        "  if (invoice.total() != wanted) {\n"
        '    std::cerr << "unit.cpp: total of case " << number << " is " << invoice.total() << ", wanted " << wanted\n'
        "              << std::endl;\n    return 1;\n  }\n}\n"
    )
    return Fault(
        repo="acme/imaging",
        job="unit-tests",
        category="test",
        files=files,
        failing_tests=(f"case_{case}",),
        script=(CONFIGURE, "cmake --build build --parallel 2", "ctest --test-dir build --output-on-failure"),
        after=("tail -n 60 build/Testing/Temporary/LastTest.log", "ls -l build"),
        spans=(
            Span(rf"Test .*case_{case} .*\*\*\*Failed", r"unit.cpp: total"),
            Span(r"^The following tests FAILED", r"Failed"),
        ),
    )


@kind("cmake/segfault", {"case": 3}, keep=(2,), tools=TOOLS)
def segfault(run: int, case: int) -> Fault:
    """A test program reads where it must not."""
    files = _project(8, run, extra=CTEST.format(count=12 + run))
    files["tests/unit.cpp"] = (
        "#include <cstdlib>\n#include <iostream>\n\nint main(int, char** arguments) {\n"
        f"  volatile int* pixel = std::atol(arguments[1]) == {case} ? nullptr : new int(1);\n"
        '  std::cout << "first pixel" << std::endl;\n  return *pixel - 1;\n}\n'
    )
    return Fault(
        repo="acme/imaging",
        job="unit-tests",
        category="test",
        files=files,
        failing_tests=(f"case_{case}",),
        script=(CONFIGURE, "cmake --build build", "ctest --test-dir build --output-on-failure"),
        spans=(Span(rf"Test .*case_{case} .*SegFault"),),
    )


@kind("cmake/werror", {"flag": "-Werror"}, keep=(1,), tools=TOOLS)
def werror(run: int, flag: str) -> Fault:
    """A warning counts as an error."""
    files = _project(10, run, sources=("src/crop.cpp",), extra=f"target_compile_options(imaging PRIVATE {flag})\n")
    files["src/crop.cpp"] = "int crop(int left, int right) {\n  int unused = right;\n  return left;\n}\n"
    return Fault(
        repo="acme/imaging",
        job="strict-build",
        category="compile",
        alt=("static_check",),
        files=files,
        script=(CONFIGURE, "cmake --build build"),
        spans=(Span(r"error: unused (variable|parameter)", every=True),),
    )


APT = "apt-get update -qq && apt-get install -y -qq --no-install-recommends "


def _job(run: int, category: str, scripts: tuple[str, ...], span: Span, **more: object) -> Fault:
    """A project that is configured and built by ``scripts``."""
    extra, files = str(more.pop("extra", "")), more.pop("files", {})
    return Fault(
        repo="acme/imaging",
        job="build",
        category=category,
        files={**_project(4, run, extra=extra), **files},  # type: ignore[dict-item]
        script=scripts,
        spans=(span,),
        style="steps" if run else "plain",
        **more,  # type: ignore[arg-type]
    )


@kind("cmake/library_missing", tools=TOOLS)
def library_missing(run: int) -> Fault:
    """The linker finds no such library."""
    extra = "target_link_libraries(convert tilecodec)\n"
    return _job(
        run,
        "dependency_missing",
        (CONFIGURE, "cmake --build build"),
        Span(r"cannot find -ltilecodec"),
        extra=extra,
        dependency=Dependency("tilecodec", None, "generic", accept=("libtilecodec",)),
        alt=("build", "environment"),
    )


@kind("cmake/pkg_config", tools=TOOLS)
def pkg_config(run: int) -> Fault:
    """pkg-config knows no such package."""
    extra = "find_package(PkgConfig REQUIRED)\npkg_check_modules(TILES REQUIRED libtilecodec>=2)\n"
    return _job(
        run,
        "dependency_missing",
        (CONFIGURE,),
        Span(r"No package 'libtilecodec' found|Package 'libtilecodec'"),
        extra=extra,
        setup=(APT + "pkg-config",),
        dependency=Dependency("libtilecodec", None, "generic"),
        alt=("environment",),
    )


@kind("cmake/no_compiler", tools=TOOLS)
def no_compiler(run: int) -> Fault:
    """The compiler that the job names is not installed."""
    span = Span(r"Could not find compiler set in environment variable|No CMAKE_CXX_COMPILER could be found")
    return _job(run, "environment", (CONFIGURE,), span, env={"CXX": "clang++-21"}, alt=("dependency_missing",))


@kind("cmake/no_generator", tools=TOOLS)
def no_generator(run: int) -> Fault:
    """The build program of the generator is not installed."""
    span = Span(r"unable to find a build program corresponding to")
    script = ("rm -f /usr/bin/ninja /usr/local/bin/ninja", CONFIGURE + " -G Ninja")
    return _job(run, "environment", script, span, alt=("dependency_missing",))


@kind("cmake/no_source", tools=TOOLS)
def no_source(run: int) -> Fault:
    """The job configures a folder without a CMakeLists.txt."""
    span = Span(r"does not appear to contain CMakeLists\.txt")
    return _job(run, "config_script", ("cmake -S src -B build",), span)


@kind("cmake/source_file_missing", tools=TOOLS)
def source_file_missing(run: int) -> Fault:
    """CMakeLists.txt names a source that is not in the repository."""
    span = Span(r"Cannot find source file")
    return _job(run, "config_script", (CONFIGURE,), span, extra="add_library(gone src/gone.cpp)\n", alt=("build",))


@kind("cmake/compiler_killed", tools=TOOLS)
def compiler_killed(run: int) -> Fault:
    """The compiler needs more memory than the machine has."""
    source = (
        "#include <array>\n#include <utility>\ntemplate <int N> struct Tile { "
        "static const int v = Tile<N - 1>::v + N; };\n"
        "template <> struct Tile<0> { static const int v = 0; };\n"
        "template <int... I> constexpr auto all(std::integer_sequence<int, I...>) {\n"
        "  return std::array<int, sizeof...(I)>{Tile<I>::v...};\n}\n"
        "auto table() { return all(std::make_integer_sequence<int, 100000>()); }\n"
    )
    extra = (
        "target_sources(imaging PRIVATE "
        "src/table.cpp)\ntarget_compile_options(imaging PRIVATE -ftemplate-depth=200000)\n"
    )
    return _job(
        run,
        "resource",
        (CONFIGURE, "cmake --build build"),
        Span(r"Killed signal terminated program cc1plus"),
        extra=extra,
        files={"src/table.cpp": source},
        sandbox=Sandbox(memory_mb=70),
    )


@kind("meson/no_dependency", tools={"meson": "apt-cache policy meson | grep Candidate"})
def meson_no_dependency(run: int) -> Fault:
    """Meson finds no such dependency."""
    files = {"meson.build": "project('imaging', 'cpp')\ndependency('libtilecodec', version: '>=2')\n"}
    return _job(
        run,
        "dependency_missing",
        ("meson setup out",),
        Span(r'ERROR: Dependency "libtilecodec" not found'),
        files=files,
        setup=(APT + "meson ninja-build pkg-config",),
        dependency=Dependency("libtilecodec", None, "generic"),
        alt=("environment",),
    )


@kind("make/no_target", tools={"make": "make --version"})
def make_no_target(run: int) -> Fault:
    """A misspelt target."""
    files = {"Makefile": "install:\n\techo installed\n"}
    return _job(run, "config_script", ("make instal",), Span(r"No rule to make target 'instal'"), files=files)


@kind("make/missing_separator", tools={"make": "make --version"})
def make_missing_separator(run: int) -> Fault:
    """Spaces where make wants a tab."""
    files = {"Makefile": "install:\n    echo installed\n"}
    return _job(run, "config_script", ("make install",), Span(r"\*\*\* missing separator"), files=files)
