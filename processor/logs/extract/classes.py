"""Java classes and packages that a compiler or a virtual machine can't find or can't use, by their artifacts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from processor.logs.extract.patterns import Pattern, package

DOTTED = r"(?P<name>[a-z]\w*(?:\.\w+)+)"
SLASHED = r"(?P<name>[a-z]\w*(?:[./]\w+)+)"

ARTIFACTS = {
    "android.support": "com.android.support:support-v4", "antlr": "antlr:antlr", "cats": "org.typelevel:cats-core",
    "ch.qos.logback.classic": "ch.qos.logback:logback-classic", "ch.qos.logback.core": "ch.qos.logback:logback-core",
    "com.amazonaws": "com.amazonaws:aws-java-sdk", "com.beust.jcommander": "com.beust:jcommander",
    "com.codahale.metrics": "io.dropwizard.metrics:metrics-core",
    "com.datastax.driver": "com.datastax.cassandra:cassandra-driver-core",
    "com.fasterxml.jackson.annotation": "com.fasterxml.jackson.core:jackson-annotations",
    "com.fasterxml.jackson.core": "com.fasterxml.jackson.core:jackson-core",
    "com.fasterxml.jackson.databind": "com.fasterxml.jackson.core:jackson-databind",
    "com.fasterxml.jackson.dataformat.xml": "com.fasterxml.jackson.dataformat:jackson-dataformat-xml",
    "com.fasterxml.jackson.dataformat.yaml": "com.fasterxml.jackson.dataformat:jackson-dataformat-yaml",
    "com.fasterxml.jackson.datatype.jsr310": "com.fasterxml.jackson.datatype:jackson-datatype-jsr310",
    "com.github.benmanes.caffeine": "com.github.ben-manes.caffeine:caffeine",
    "com.github.javaparser": "com.github.javaparser:javaparser-core",
    "com.github.tomakehurst.wiremock": "com.github.tomakehurst:wiremock",
    "com.google.auto.service": "com.google.auto.service:auto-service",
    "com.google.auto.value": "com.google.auto.value:auto-value", "com.google.cloud.storage":
    "com.google.cloud:google-cloud-storage", "com.google.common": "com.google.guava:guava",
    "com.google.errorprone": "com.google.errorprone:error_prone_annotations",
    "com.google.gson": "com.google.code.gson:gson", "com.google.inject": "com.google.inject:guice",
    "com.google.protobuf": "com.google.protobuf:protobuf-java", "com.google.truth": "com.google.truth:truth",
    "com.h2database": "com.h2database:h2", "com.hazelcast": "com.hazelcast:hazelcast",
    "com.jayway.jsonpath": "com.jayway.jsonpath:json-path", "com.mongodb": "org.mongodb:mongodb-driver-sync",
    "com.mysql": "com.mysql:mysql-connector-j", "com.squareup.moshi": "com.squareup.moshi:moshi",
    "com.squareup.okhttp": "com.squareup.okhttp:okhttp", "com.squareup.picasso": "com.squareup.picasso:picasso",
    "com.sun.jersey": "com.sun.jersey:jersey-client", "com.sun.mail": "com.sun.mail:javax.mail",
    "com.sun.xml.bind": "com.sun.xml.bind:jaxb-impl", "com.thoughtworks.xstream": "com.thoughtworks.xstream:xstream",
    "com.typesafe.config": "com.typesafe:config", "com.zaxxer.hikari": "com.zaxxer:HikariCP",
    "dagger": "com.google.dagger:dagger", "feign": "io.github.openfeign:feign-core",
    "freemarker": "org.freemarker:freemarker", "groovy": "org.codehaus.groovy:groovy",
    "hudson": "org.jenkins-ci.main:jenkins-core", "info.picocli": "info.picocli:picocli",
    "io.cucumber": "io.cucumber:cucumber-java", "io.fabric8.kubernetes": "io.fabric8:kubernetes-client",
    "io.grpc": "io.grpc:grpc-core", "io.jsonwebtoken": "io.jsonwebtoken:jjwt",
    "io.micrometer": "io.micrometer:micrometer-core", "io.netty": "io.netty:netty-all",
    "io.opentelemetry.api": "io.opentelemetry:opentelemetry-api", "io.prometheus.client": "io.prometheus:simpleclient",
    "io.reactivex": "io.reactivex.rxjava2:rxjava", "io.reactivex.rxjava3": "io.reactivex.rxjava3:rxjava",
    "io.restassured": "io.rest-assured:rest-assured", "io.swagger.annotations": "io.swagger:swagger-annotations",
    "io.swagger.v3.oas.annotations": "io.swagger.core.v3:swagger-annotations", "io.vavr": "io.vavr:vavr",
    "io.vertx.core": "io.vertx:vertx-core", "jakarta.annotation": "jakarta.annotation:jakarta.annotation-api",
    "jakarta.inject": "jakarta.inject:jakarta.inject-api", "jakarta.mail": "jakarta.mail:jakarta.mail-api",
    "jakarta.persistence": "jakarta.persistence:jakarta.persistence-api",
    "jakarta.servlet": "jakarta.servlet:jakarta.servlet-api",
    "jakarta.validation": "jakarta.validation:jakarta.validation-api",
    "jakarta.ws.rs": "jakarta.ws.rs:jakarta.ws.rs-api", "jakarta.xml.bind": "jakarta.xml.bind:jakarta.xml.bind-api",
    "javassist": "org.javassist:javassist", "javax.activation": "javax.activation:activation",
    "javax.annotation": "javax.annotation:javax.annotation-api", "javax.ejb": "javax.ejb:javax.ejb-api",
    "javax.enterprise": "javax.enterprise:cdi-api", "javax.inject": "javax.inject:javax.inject",
    "javax.jms": "javax.jms:javax.jms-api", "javax.json": "javax.json:javax.json-api", "javax.mail":
    "javax.mail:mail", "javax.persistence": "javax.persistence:javax.persistence-api",
    "javax.servlet": "javax.servlet:javax.servlet-api", "javax.transaction": "javax.transaction:javax.transaction-api",
    "javax.validation": "javax.validation:validation-api", "javax.websocket": "javax.websocket:javax.websocket-api",
    "javax.ws.rs": "javax.ws.rs:javax.ws.rs-api", "javax.xml.bind": "javax.xml.bind:jaxb-api",
    "javax.xml.ws": "javax.xml.ws:jaxws-api", "jenkins": "org.jenkins-ci.main:jenkins-core",
    "kotlin": "org.jetbrains.kotlin:kotlin-stdlib",
    "kotlinx.coroutines": "org.jetbrains.kotlinx:kotlinx-coroutines-core",
    "kotlinx.serialization": "org.jetbrains.kotlinx:kotlinx-serialization-json", "lombok": "org.projectlombok:lombok",
    "net.bytebuddy": "net.bytebuddy:byte-buddy", "net.lingala.zip4j": "net.lingala.zip4j:zip4j",
    "net.sf.ehcache": "net.sf.ehcache:ehcache", "net.sf.jsqlparser": "com.github.jsqlparser:jsqlparser",
    "net.sourceforge.pmd": "net.sourceforge.pmd:pmd-core",
    "nl.jqno.equalsverifier": "nl.jqno.equalsverifier:equalsverifier",
    "okhttp3": "com.squareup.okhttp3:okhttp", "okhttp3.mockwebserver": "com.squareup.okhttp3:mockwebserver",
    "okio": "com.squareup.okio:okio", "org.antlr.v4.runtime": "org.antlr:antlr4-runtime",
    "org.apache.avro": "org.apache.avro:avro", "org.apache.camel": "org.apache.camel:camel-core",
    "org.apache.commons.codec": "commons-codec:commons-codec",
    "org.apache.commons.collections": "commons-collections:commons-collections",
    "org.apache.commons.collections4": "org.apache.commons:commons-collections4",
    "org.apache.commons.compress": "org.apache.commons:commons-compress",
    "org.apache.commons.configuration2": "org.apache.commons:commons-configuration2",
    "org.apache.commons.csv": "org.apache.commons:commons-csv", "org.apache.commons.io": "commons-io:commons-io",
    "org.apache.commons.lang": "commons-lang:commons-lang", "org.apache.commons.lang3":
    "org.apache.commons:commons-lang3", "org.apache.commons.logging": "commons-logging:commons-logging",
    "org.apache.commons.math3": "org.apache.commons:commons-math3",
    "org.apache.commons.text": "org.apache.commons:commons-text",
    "org.apache.curator": "org.apache.curator:curator-framework", "org.apache.flink": "org.apache.flink:flink-core",
    "org.apache.hadoop": "org.apache.hadoop:hadoop-common", "org.apache.hc.client5":
    "org.apache.httpcomponents.client5:httpclient5", "org.apache.http": "org.apache.httpcomponents:httpclient",
    "org.apache.kafka.clients": "org.apache.kafka:kafka-clients",
    "org.apache.kafka.common": "org.apache.kafka:kafka-clients",
    "org.apache.kafka.streams": "org.apache.kafka:kafka-streams", "org.apache.log4j": "log4j:log4j",
    "org.apache.logging.log4j": "org.apache.logging.log4j:log4j-api",
    "org.apache.logging.log4j.core": "org.apache.logging.log4j:log4j-core",
    "org.apache.lucene": "org.apache.lucene:lucene-core", "org.apache.maven.plugin":
    "org.apache.maven:maven-plugin-api", "org.apache.maven.project": "org.apache.maven:maven-core",
    "org.apache.pdfbox": "org.apache.pdfbox:pdfbox", "org.apache.poi": "org.apache.poi:poi",
    "org.apache.spark": "org.apache.spark:spark-core", "org.apache.thrift": "org.apache.thrift:libthrift",
    "org.apache.tika": "org.apache.tika:tika-core", "org.apache.velocity": "org.apache.velocity:velocity-engine-core",
    "org.apache.zookeeper": "org.apache.zookeeper:zookeeper", "org.asciidoctor": "org.asciidoctor:asciidoctorj",
    "org.aspectj": "org.aspectj:aspectjrt", "org.assertj.core": "org.assertj:assertj-core",
    "org.awaitility": "org.awaitility:awaitility", "org.bouncycastle": "org.bouncycastle:bcprov-jdk18on",
    "org.checkerframework": "org.checkerframework:checker-qual",
    "org.codehaus.jackson": "org.codehaus.jackson:jackson-mapper-asl",
    "org.codehaus.plexus.util": "org.codehaus.plexus:plexus-utils", "org.dom4j": "org.dom4j:dom4j",
    "org.easymock": "org.easymock:easymock", "org.eclipse.jetty": "org.eclipse.jetty:jetty-server",
    "org.eclipse.jgit": "org.eclipse.jgit:org.eclipse.jgit", "org.ehcache": "org.ehcache:ehcache",
    "org.elasticsearch": "org.elasticsearch:elasticsearch", "org.flywaydb": "org.flywaydb:flyway-core",
    "org.glassfish.jersey": "org.glassfish.jersey.core:jersey-server", "org.hamcrest": "org.hamcrest:hamcrest",
    "org.hibernate": "org.hibernate:hibernate-core", "org.hibernate.validator":
    "org.hibernate.validator:hibernate-validator", "org.jdbi.v3": "org.jdbi:jdbi3-core", "org.jetbrains.annotations":
    "org.jetbrains:annotations", "org.joda.time": "joda-time:joda-time", "org.jooq": "org.jooq:jooq",
    "org.jooq.meta": "org.jooq:jooq-meta", "org.json": "org.json:json", "org.jsoup": "org.jsoup:jsoup",
    "org.junit": "junit:junit", "org.junit.jupiter": "org.junit.jupiter:junit-jupiter",
    "org.junit.platform": "org.junit.platform:junit-platform-launcher", "org.keycloak": "org.keycloak:keycloak-core",
    "org.liquibase": "org.liquibase:liquibase-core", "liquibase": "org.liquibase:liquibase-core",
    "org.mapstruct": "org.mapstruct:mapstruct", "org.mockito": "org.mockito:mockito-core",
    "org.mybatis": "org.mybatis:mybatis", "org.neo4j.driver": "org.neo4j.driver:neo4j-java-driver",
    "org.objectweb.asm": "org.ow2.asm:asm", "org.openqa.selenium": "org.seleniumhq.selenium:selenium-java",
    "org.osgi.framework": "org.osgi:org.osgi.core", "org.postgresql": "org.postgresql:postgresql",
    "org.powermock": "org.powermock:powermock-core", "org.quartz": "org.quartz-scheduler:quartz",
    "org.reactivestreams": "org.reactivestreams:reactive-streams", "org.redisson": "org.redisson:redisson",
    "org.reflections": "org.reflections:reflections", "org.scalatest": "org.scalatest:scalatest",
    "org.skyscreamer.jsonassert": "org.skyscreamer:jsonassert", "org.slf4j": "org.slf4j:slf4j-api",
    "org.springframework.aop": "org.springframework:spring-aop", "org.springframework.batch":
    "org.springframework.batch:spring-batch-core", "org.springframework.beans": "org.springframework:spring-beans",
    "org.springframework.boot": "org.springframework.boot:spring-boot",
    "org.springframework.boot.autoconfigure": "org.springframework.boot:spring-boot-autoconfigure",
    "org.springframework.boot.test": "org.springframework.boot:spring-boot-test",
    "org.springframework.cloud": "org.springframework.cloud:spring-cloud-commons",
    "org.springframework.context": "org.springframework:spring-context",
    "org.springframework.core": "org.springframework:spring-core",
    "org.springframework.data.jpa": "org.springframework.data:spring-data-jpa",
    "org.springframework.data.redis": "org.springframework.data:spring-data-redis",
    "org.springframework.http": "org.springframework:spring-web",
    "org.springframework.jdbc": "org.springframework:spring-jdbc",
    "org.springframework.kafka": "org.springframework.kafka:spring-kafka",
    "org.springframework.orm": "org.springframework:spring-orm",
    "org.springframework.security": "org.springframework.security:spring-security-core",
    "org.springframework.stereotype": "org.springframework:spring-context",
    "org.springframework.test": "org.springframework:spring-test",
    "org.springframework.transaction": "org.springframework:spring-tx",
    "org.springframework.util": "org.springframework:spring-core",
    "org.springframework.web": "org.springframework:spring-web",
    "org.springframework.web.servlet": "org.springframework:spring-webmvc",
    "org.testcontainers": "org.testcontainers:testcontainers", "org.testng": "org.testng:testng",
    "org.thymeleaf": "org.thymeleaf:thymeleaf", "org.xerial.snappy": "org.xerial.snappy:snappy-java",
    "org.yaml.snakeyaml": "org.yaml:snakeyaml", "picocli": "info.picocli:picocli", "play": "com.typesafe.play:play",
    "reactor.core": "io.projectreactor:reactor-core", "redis.clients.jedis": "redis.clients:jedis",
    "retrofit2": "com.squareup.retrofit2:retrofit", "rx": "io.reactivex:rxjava",
    "software.amazon.awssdk": "software.amazon.awssdk:sdk-core", "springfox": "io.springfox:springfox-core",
    "zio": "dev.zio:zio",
}  # fmt: skip
"""Artifacts of widely used libraries by a prefix of their packages."""


UNKNOWN = "class:"
"""Begins the name of what is in no artifact that is known here; `fits` tells whether an artifact may be its own."""

_PLATFORM = ("java.", "javax.swing.", "jdk.", "sun.")
_LAYOUT = re.compile(rb"/((?:[\w.-]+/)+)([\w.-]+)/([\w.+-]+)/\2-\3[\w.-]*\.(jar|pom|aar)\b")
_MOST_CLASSES = 16


def artifact(name: str) -> str:
    """The artifact that a class or package (dots or slashes) comes from, or its package with UNKNOWN before it."""
    name = name.replace("/", ".")
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if known := ARTIFACTS.get(".".join(parts[:length])):
            return known
    packages = list(itertools.takewhile(lambda part: part[:1].islower(), parts))
    return "" if name.startswith(_PLATFORM) or len(packages) < 2 else UNKNOWN + ".".join(packages)


def fits(coordinates: str, unknown: str) -> bool:
    """Whether an artifact, by its coordinates and the customs of naming, holds the package of an UNKNOWN name.

    `com.acme:http` and `com.acme.http:http` hold com.acme.http.auth, and so does `com.acme:acme-http`.
    """
    group, _, own = coordinates.partition(":")
    parts = unknown.removeprefix(UNKNOWN).split(".")
    base = group.split(".")
    if parts[: len(base)] != base:
        return False
    rest = parts[len(base) :]
    words = own.removeprefix(f"{base[-1]}-").split("-")
    return own == base[-1] or (bool(rest) and (own == rest[0] or words == rest[: len(words)]))


def unknown(text: str, patterns: Iterable[Pattern]) -> Iterator[str]:
    """What some of this module's patterns find on a line in no artifact that is known."""
    for pattern in patterns:
        match = pattern.regex.search(text)
        name = artifact(match["name"]) if match else ""
        if name.startswith(UNKNOWN):
            yield name


def downloads(names: Iterable[str], find: Callable[[bytes], Iterable[tuple[int, bytes]]]) -> dict[int, str]:
    """Lines of a log, by number, that say from where artifacts came that may hold what is `unknown`.

    `find` gives the log's lines with some bytes in them.
    """
    found: dict[int, str] = {}
    for name in itertools.islice(names, _MOST_CLASSES):
        parts = name.removeprefix(UNKNOWN).split(".")
        found.update(_downloads(name, parts[:3], find) or _downloads(name, parts[:2], find))
    return found


def _downloads(name: str, root: Sequence[str], find: Callable[[bytes], Iterable[tuple[int, bytes]]]) -> dict[int, str]:
    """Those below one folder of a repository: of each artifact the last, of jars rather than of other files."""
    folder = f"/{'/'.join(root)}/".encode()
    places: dict[tuple[bytes, bytes], tuple[int, bytes]] = {}
    for number, line in find(folder):
        path = _LAYOUT.search(line, max(0, line.find(folder.rsplit(b"/", 2)[0])))
        if not path or not fits(f"{path[1].rstrip(b'/').replace(b'/', b'.').decode()}:{path[2].decode()}", name):
            continue
        # What is downloaded as a jar is used; of a pom alone another version may have won.
        if path[4] != b"pom" or (path[1], path[2]) not in places:
            places[path[1], path[2]] = number, line
    return {number: line.decode("utf-8", "replace") for number, line in places.values()}


def blamed(regex: str, weight: float, *, cue: str = "", many: bool = False) -> Pattern:
    """A pattern for a class or package, named by its artifact."""
    return package("maven", regex, weight, cue=cue, all=many, clean=artifact)


PATTERNS: tuple[Pattern, ...] = (
    blamed(rf"package {DOTTED} does not exist", 0.76),
    blamed(rf"cannot access {DOTTED}", 0.75),
    blamed(rf"class file for {DOTTED} not found", 0.77),
    blamed(rf"(?<![\w.]){DOTTED} cannot be resolved", 0.75),
    blamed(rf"unable to resolve class {DOTTED}", 0.76),
    blamed(rf"is not a member of package {DOTTED}", 0.75),
    blamed(rf"NoClassDefFoundError: (?:Could not initialize class )?{SLASHED}", 0.76),
    blamed(rf"ClassNotFoundException: {DOTTED}", 0.75),
    blamed(rf"NoSuch(?:Method|Field)Error:? '?(?:[\w.\[\]]+ )?{DOTTED}", 0.77, cue="NoSuch(Method|Field)Error"),
    blamed(rf"(?<![\w./]){SLASHED} has been compiled by a more recent version", 0.77),
    blamed(
        rf"(?:Abstract|Incompatible|Verify)\w*(?:Method|ClassChange)?Error:.* {DOTTED}",
        0.7,
        cue="(AbstractMethod|IncompatibleClassChange|Verify)Error: ",
    ),
    blamed(rf"location: +(?:class|interface|package|variable \w+ of type) {DOTTED}", 0.7),
    blamed(rf"(?:constructor|method) {DOTTED}(?:<.*>)?\(.*is not applicable", 0.72, cue="is not applicable"),
    blamed(
        rf"(?:constructor|method) .* in (?:class|interface|enum|record) {DOTTED}.* cannot be applied",
        0.72,
        cue="cannot be applied",
    ),
    blamed(rf"incompatible types: .*?(?<![\w.]){DOTTED}", 0.65),
    blamed(rf"\bin {DOTTED} has been deprecated", 0.5),
    blamed(
        rf"(?:does not override abstract method|cannot override|clashes with|cannot inherit from).* in {DOTTED}",
        0.65,
        cue="does not override abstract|cannot override|clashes with|cannot inherit",
    ),
    blamed(
        rf"\[ERROR\] .*?(?<![\w./-]){DOTTED}",
        0.3,
        cue=r"\[ERROR\] +(symbol|location|constructor|method|required|found)",
    ),
)
