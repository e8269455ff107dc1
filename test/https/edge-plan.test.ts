import t from 'tap'
import { factsOf, textOfArguments } from '../../src/https/edge-parts.js'
import { planEdge } from '../../src/https/edge-plan.js'
import type { HttpsAim, HttpsParts, HttpsState } from '../../src/https/https-place.js'
import type { HstsWish } from '../../src/https/https-wish.js'

const where = { product: 'dcdn', domain: 'www.example.com' } as const
const bare = {
  https: '{"https":"on"}',
  rules: null,
  http_force: null,
  https_tls_version: null,
  https_option: null,
  gzip: null,
  brotli: null,
  https_force: null,
  HSTS: null,
}
const stateOf = (parts: HttpsParts = {}): HttpsState => {
  const all = { ...bare, ...parts }
  return { parts: all, unread: {}, facts: factsOf(all) }
}
const enforce = (hsts: HstsWish | undefined): HttpsAim => ({
  verb: 'enforce',
  wish: { tls: ['1.2'], redirect: 301, hsts, http2: false, gzip: false, brotli: false },
})

type Row = readonly [age: string | undefined, subdomains?: string, preload?: string]

const argsOf = ([age, subdomains, preload]: Row, enabled: string): Readonly<Record<string, string>> => ({
  enabled,
  ...(age !== undefined && { https_hsts_max_age: age }),
  ...(subdomains !== undefined && { https_hsts_include_subdomains: subdomains }),
  ...(preload !== undefined && { https_hsts_preload: preload }),
})

t.test('what HSTS becomes', async (t) => {
  const begin: HstsWish = { maxAge: undefined, includeSubdomains: false, preload: false }
  const year = 31_536_000
  const rows: readonly (readonly [was: string, before: string | null, wish: HstsWish, after: Row | 'as it was'])[] = [
    ['none', null, begin, ['300', 'off']],
    ['none', null, { ...begin, maxAge: 86_400, includeSubdomains: true }, ['86400', 'on']],
    ['none', null, { ...begin, maxAge: 0 }, ['0', 'off']],
    ['none', null, { maxAge: year, includeSubdomains: true, preload: true }, [String(year), 'on', 'on']],
    ['a longer one', textOfArguments(argsOf(['5184000', 'on'], 'on')), begin, 'as it was'],
    ['a longer one', textOfArguments(argsOf(['5184000', 'on'], 'on')), { ...begin, maxAge: 600 }, ['600', 'on']],
    [
      'a longer one',
      textOfArguments(argsOf(['5184000', 'off'], 'on')),
      { ...begin, includeSubdomains: true },
      ['5184000', 'on'],
    ],
    ['a shorter one', textOfArguments(argsOf(['60', 'off'], 'on')), begin, ['300', 'off']],
    ['a relaxed one', textOfArguments(argsOf(['0', 'on', 'off'], 'on')), begin, ['300', 'on', 'off']],
    ['a long one that is off', textOfArguments(argsOf(['5184000', 'on', 'on'], 'off')), begin, ['300', 'off', 'off']],
    ['one with preload', textOfArguments(argsOf([String(year), 'on', 'on'], 'on')), begin, 'as it was'],
    [
      'one fit for preload',
      textOfArguments(argsOf([String(year), 'on'], 'on')),
      { ...begin, preload: true },
      [String(year), 'on', 'on'],
    ],
    ['one that makes no sense', textOfArguments(argsOf(['long', 'off'], 'on')), begin, ['300', 'off']],
  ]
  for (const [was, HSTS, wish, after] of rows) {
    const { moves } = planEdge(where, enforce(wish), stateOf({ HSTS }))
    const move = moves.find((one) => one.kind === 'function' && one.part === 'HSTS')
    const expected = after === 'as it was' ? undefined : argsOf(after, 'on')
    t.same(move?.kind === 'function' ? move.args : undefined, expected, `${was}: ${JSON.stringify(wish)}`)
    if (move !== undefined) t.equal(moves.at(-1), move, 'after the redirect')
  }
  const unfit = { maxAge: year - 1, includeSubdomains: true, preload: true }
  for (const wish of [unfit, { ...begin, maxAge: year, preload: true }, { ...begin, preload: true }])
    t.throws(() => planEdge(where, enforce(wish), stateOf({ https: '{"https":"off"}' })), { code: 'USAGE' })
  const { moves } = planEdge(where, enforce(undefined), stateOf({ HSTS: textOfArguments(argsOf(['60'], 'off')) }))
  t.notMatch(moves, [{ part: 'HSTS' }])
})

t.test('how it is said', async (t) => {
  const said = (seconds: number) =>
    planEdge(where, enforce({ maxAge: seconds, includeSubdomains: true, preload: false }), stateOf()).moves.at(-1)?.does
  for (const [seconds, span] of [
    [1, '1 second'],
    [90, '90 seconds'],
    [300, '5 minutes'],
    [3600, '1 hour'],
    [86_400, '1 day'],
    [5_184_000, '60 days'],
  ] as const)
    t.equal(said(seconds), `hold browsers to HTTPS for ${span} (HSTS max-age=${seconds}), with all subdomains`)
  const held = (args: Row) => planEdge(where, { verb: 'relax' }, stateOf({ HSTS: textOfArguments(argsOf(args, 'on')) }))
  t.match(held(['300', 'off', 'on']).warnings, [
    /^browsers hold www\.example\.com to HTTPS for .*preload list.* for good$/,
  ])
  t.match(held(['0', 'on']), { moves: [], warnings: [] }, 'that is over as soon as they come by')
})

t.test('the same arguments are the same text', async (t) => {
  t.equal(textOfArguments({ b: '1', a: '2' }), '{"a":"2","b":"1"}')
  t.equal(textOfArguments({ a: '2', b: '1' }), textOfArguments({ b: '1', a: '2' }))
  t.equal(textOfArguments(undefined), null)
})

t.test('facts', async (t) => {
  t.same(factsOf({}), {
    https: null,
    plainHttp: null,
    redirectCode: null,
    tls: null,
    hsts: null,
    http2: null,
    gzip: null,
    brotli: null,
  })
  t.match(factsOf({ https_force: '{"enable":"on"}' }), { plainHttp: 'redirected', redirectCode: null })
  t.match(factsOf({ https_force: '{"enable":"off","https_rewrite":"301"}' }), {
    plainHttp: 'answered',
    redirectCode: null,
  })
  t.match(factsOf({ https_tls_version: '{"tls10":"on","tls12":"ON"}' }), { tls: ['1.0', '1.2'] })
  t.match(factsOf({ https_tls_version: '{"ciphersuitegroup":"all"}' }), { tls: null }, 'the product’s own choice')
})
