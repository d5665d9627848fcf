#!/usr/bin/env python3
"""Counts what a crawl of a website must find, with lxml and urllib and nothing of Hermes.

usage: count.py http://127.0.0.1:8080/

Definitions, as in the technical-seo service:
* site: the host and port of the URL given;
* pages: URLs of the site that links reach from the URL given, answered 200 with HTML; a URL is known without its
  fragment, with percent-encoded unreserved characters decoded; links are <a href> and <area href>, against <base>,
  except those with rel=nofollow and those of pages whose robots meta says nofollow;
* judged pages: those without noindex, without a refresh to another URL within 5 s, and without a canonical that names
  another page of the site;
* broken targets: distinct URLs of the site that pages link to and that end, redirects followed, in HTTP 404;
* links to broken targets: every <a>/<area> element that leads there.
"""

import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

from lxml import html

UNRESERVED = re.compile(r"%([0-9A-Fa-f]{2})")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


OPENER = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))


def one_spelling(url):
    def decode(match):
        char = chr(int(match.group(1), 16))
        return char if re.fullmatch(r"[A-Za-z0-9._~-]", char) else match.group(0)

    url = urllib.parse.urldefrag(url).url
    parts = urllib.parse.urlsplit(url)
    path = urllib.parse.quote(UNRESERVED.sub(decode, parts.path or "/"), safe="%/:=&?~#+!$,;'@()*[]|\"<>")
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, UNRESERVED.sub(decode, parts.query), ""))


def fetch(url):
    """Status, location, and the body if it is HTML."""
    try:
        answer = OPENER.open(urllib.request.Request(url, headers={"User-Agent": "count.py"}), timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        kind = answer.headers.get_content_type()
        body = answer.read() if answer.status == 200 and kind == "text/html" else None
        charset = answer.headers.get_content_charset()
        return answer.status, answer.headers.get("Location"), body, charset


def tokens(element, name):
    return (element.get(name) or "").lower().split()


def words(text):
    return " ".join((text or "").split())


class Page:
    def __init__(self, url, body, charset):
        parser = html.HTMLParser(encoding=charset) if charset else html.HTMLParser()
        tree = html.document_fromstring(body or b"<html></html>", parser=parser)
        bases = tree.xpath("//base/@href")
        self.base = urllib.parse.urljoin(url, bases[0].strip()) if bases else url
        titles = tree.xpath("//title[not(ancestor::svg)]")
        self.title = words(titles[0].text_content()) if titles else ""
        metas = [(words(meta.get("name")).lower(), meta.get("content") or "") for meta in tree.iter("meta")]
        descriptions = [words(content) for name, content in metas if name == "description"]
        self.description = descriptions[0] if descriptions else ""
        directives = ",".join(content for name, content in metas if name in ("robots", "googlebot", "bingbot"))
        self.robots = {directive.strip().lower() for directive in directives.split(",")}
        self.canonicals = {
            one_spelling(urllib.parse.urljoin(url, link.get("href").strip()))
            for link in tree.iter("link")
            if "canonical" in tokens(link, "rel") and (link.get("href") or "").strip()
        }
        self.refresh = self.read_refresh(tree, url)
        self.links = [] if self.robots & {"nofollow", "none"} else list(self.read_links(tree))

    def read_refresh(self, tree, url):
        for meta in tree.iter("meta"):
            if (meta.get("http-equiv") or "").strip().lower() != "refresh":
                continue
            match = re.match(r"\s*([\d.]+)\s*[;,]\s*url\s*=\s*['\"]?([^'\"]*)", meta.get("content") or "", re.I)
            if match and float(match.group(1)) <= 5:
                target = one_spelling(urllib.parse.urljoin(self.base, match.group(2).strip()))
                return target if target != one_spelling(url) else None
        return None

    def read_links(self, tree):
        for element in tree.iter("a", "area"):
            href = (element.get("href") or "").strip()
            if not href or "nofollow" in tokens(element, "rel"):
                continue
            target = urllib.parse.urljoin(self.base, href)
            if urllib.parse.urlsplit(target).scheme in ("http", "https"):
                yield one_spelling(target)


def crawl(start):
    site = urllib.parse.urlsplit(start).netloc
    answers, pages = {}, {}
    queue = [start]
    while queue:
        url = queue.pop()
        if url in answers or urllib.parse.urlsplit(url).netloc != site:
            continue
        status, location, body, charset = fetch(url)
        target = one_spelling(urllib.parse.urljoin(url, location)) if location else None
        answers[url] = (status, target)
        if target:
            queue.append(target)
        if body is not None:
            pages[url] = Page(url, body, charset)
            queue.extend(pages[url].links)
            queue.extend([pages[url].refresh] if pages[url].refresh else [])
    return site, answers, pages


def final_status(answers, url):
    for _ in range(20):
        status, target = answers.get(url, (None, None))
        if status is None or status < 300 or status > 399:
            return status
        url = target
    return None


def is_judged(site, url, page):
    if page.robots & {"noindex", "none"} or page.refresh:
        return False
    if len(page.canonicals) != 1:
        return True
    (canonical,) = page.canonicals
    return canonical == url or urllib.parse.urlsplit(canonical).netloc != site


def main():
    start = one_spelling(sys.argv[1])
    site, answers, pages = crawl(start)
    judged = {url: page for url, page in pages.items() if is_judged(site, url, page)}
    links = [target for page in pages.values() for target in page.links if urllib.parse.urlsplit(target).netloc == site]
    broken = [target for target in links if final_status(answers, target) == 404]
    print(json.dumps({
        "pages": len(pages),
        "judged_pages": len(judged),
        "missing_descriptions": sum(not page.description for page in judged.values()),
        "missing_descriptions_of_all_pages": sum(not page.description for page in pages.values()),
        "long_titles": sum(len(page.title) > 60 for page in judged.values()),
        "long_titles_of_all_pages": sum(len(page.title) > 60 for page in pages.values()),
        "internal_links": len(links),
        "broken_targets": len(set(broken)),
        "links_to_broken_targets": len(broken),
        "examples": sorted(set(broken))[:20],
    }, indent=1))


if __name__ == "__main__":
    main()
