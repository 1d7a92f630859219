// What the conformance suite starts as the client: hands the server's URL, which the suite appends, and the scenario on to
// the test, whose address is the first argument, and prints what came of it.
const [test, url] = process.argv.slice(2);
const { MCP_CONFORMANCE_CONTEXT: context = '{}' } = process.env;
const answer = await fetch(test, { method: 'POST', body: JSON.stringify({ url, context: JSON.parse(context) }) });
console.log(await answer.text());
process.exitCode = answer.ok ? 0 : 1;
