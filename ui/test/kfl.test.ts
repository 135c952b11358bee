import { describe, expect, it } from "vitest";
import { and, andNot, endPoint, equals, quote, sideTerm, terms, withoutLast } from "../src/core/kfl";

describe("the filter's text", () => {
  it("quotes what a capture may hold", () => {
    expect(quote('a"b\\c\n\t\u0000')).toBe('"a\\"b\\\\c\\n\\t\\u0000"');
    expect(equals("status_code", 500)).toBe("status_code == 500");
    expect(equals('request.headers["host"]', 'x"')).toBe('request.headers["host"] == "x\\""');
    expect(equals("", "x")).toBe("");
    expect(equals("path", null)).toBe("");
  });

  it("adds a term, in brackets where something binds looser", () => {
    expect(and("", "dns")).toBe("dns");
    expect(and("http || dns", "error")).toBe("(http || dns) && error");
    expect(and("http", "a == 1 || b == 2")).toBe("http && (a == 1 || b == 2)");
    expect(and('path == "a||b"', "error")).toBe('path == "a||b" && error');
    expect(and("(http || dns)", "error")).toBe("(http || dns) && error");
    expect(and("http && dns", "dns")).toBe("http && dns");
  });

  it("excludes a term", () => {
    expect(andNot("http", "error")).toBe("http && !error");
    expect(andNot("", "status_code == 200")).toBe("!(status_code == 200)");
  });

  it("takes the last term off", () => {
    expect(withoutLast('http && path == "a && b" && (x || y)')).toBe('http && path == "a && b"');
    expect(withoutLast("http")).toBe("");
    expect(withoutLast("http || dns")).toBe("");
    expect(terms('a && b["&&"] && c')).toEqual(["a", 'b["&&"]', "c"]);
  });

  it("reads addresses of both kinds", () => {
    expect(endPoint("[fe80::1]:53")).toEqual({ ip: "fe80::1", port: "53" });
    expect(sideTerm("src", "10.0.0.1:40000")).toBe('src.ip == "10.0.0.1"');
    expect(sideTerm("dst", "[::1]:443")).toBe('dst.ip == "::1" && dst.port == 443');
    expect(sideTerm("dst", "10.0.0.1:0")).toBe('dst.ip == "10.0.0.1"');
  });
});
