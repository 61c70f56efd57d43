import PostludeCore
import Testing

@testable import PostludeAPI

@Suite struct RequestTargetTests {
    @Test func `what a user types stays one segment or one value`() {
        #expect(RequestTarget("runs", "a/../b?c#d e").text == "/api/v1/runs/a%2F..%2Fb%3Fc%23d%20e")
        #expect(
            RequestTarget("runs", query: [("user", "ü&x=1"), ("limit", nil), ("hooks", "false")]).text
                == "/api/v1/runs?user=%C3%BC%26x%3D1&hooks=false")
    }

    @Test func `numbers that JSON lacks survive the wire`() throws {
        let bytes = try Wire.encode(["x": Double.infinity])
        #expect(try Wire.decode([String: Double].self, from: bytes) == ["x": .infinity])
    }

    @Test func `a document that does not fit is explained by its place`() {
        let error = #expect(throws: (any Error).self) { try Wire.decode(Submission.self, from: "{\"path\": 1}".utf8) }
        #expect(error.map(Wire.explain) == "at 'path': expected String")
    }
}
