// Issuing from a CA that does not answer as it should, or not at all.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findBelow, testOutput, type Workplace } from './issue-command.js'
import { type CaFault, type CaReply, type Kind, problem } from './stub-ca.js'
import { html, setUp, succeeded, told } from './stub-trial.js'

/** Is there an order that the next run is to go on with, and its key? */
const isKept = ({ state }: Workplace): boolean =>
  readdirSync(state, { recursive: true, encoding: 'utf8' }).filter((name) => /^certificates.*\/orders\/./.test(name))
    .length === 2

/** How many the ledger has; undefined without one. */
const countedOrders = ({ state }: Workplace): number | undefined => {
  const folder = join(state, 'orders')
  if (!existsSync(folder)) return undefined
  return (JSON.parse(readFileSync(findBelow(folder, '.json'), 'utf8')) as { readonly orders: object[] }).orders.length
}

t.test('a finalization whose answer is lost', async (t) => {
  for (const protocol of ['http', 'h2'] as const) {
    const { ca, run } = await setUp(t, protocol)
    ca.fail('finalize', 'kill-after', 1)
    const result = await run(['--name', 'a'])
    t.equal(result.code, 0, `${protocol}: the order says that the certificate is there`)
    t.equal(ca.count('finalize'), 1, 'it is not sent again')
    t.equal(ca.count('newOrder'), 1)
    t.equal(result.json.order?.placed, true)
  }
})

t.test('what changes something is sent exactly once', async (t) => {
  const kinds = ['newAccount', 'newOrder', 'challenge', 'finalize'] as const
  const limited = problem(429, 'rateLimited', 'too many of them already', { status: 429 })
  const cases: readonly {
    readonly what: string
    readonly fault: CaFault
    readonly speaks: readonly ('http' | 'h2')[]
    readonly code: string
    readonly says: RegExp
  }[] = [
    {
      what: '429 with Retry-After',
      fault: { ...limited, headers: { ...limited.headers, 'retry-after': '1' } },
      speaks: ['http', 'h2'],
      code: 'CA_UNAVAILABLE',
      says: /rateLimited \(too many of them already\)/,
    },
    { what: '503', fault: { status: 503 }, speaks: ['http'], code: 'CA_UNAVAILABLE', says: /HTTP 503/ },
    { what: 'a 502 in HTML', fault: html(502), speaks: ['http'], code: 'CA_UNAVAILABLE', says: /HTTP 502/ },
    { what: 'no answer', fault: 'hang', speaks: ['http', 'h2'], code: 'CA_UNAVAILABLE', says: /no answer in time/ },
    { what: 'killed before', fault: 'kill', speaks: ['http', 'h2'], code: 'CA_UNAVAILABLE', says: /cannot be reached/ },
    {
      what: 'killed behind',
      fault: 'kill-after',
      speaks: ['http', 'h2'],
      code: 'CA_UNAVAILABLE',
      says: /cannot be reached/,
    },
  ]
  for (const { what, fault, speaks, code, says } of cases) {
    await Promise.all(
      speaks.flatMap((protocol) =>
        kinds.map(async (kind) => {
          // Of a finalization whose answer alone is lost, the order tells what became of it: see below.
          if (kind === 'finalize' && fault === 'kill-after') return
          const { ca, run, isClean, place } = await setUp(t, protocol)
          ca.fail(kind, fault, 20)
          // One name, or else there are two challenges.
          const words = ['--name', 'a', ...(fault === 'hang' ? ['--timeout', '4'] : [])]
          // Over HTTP/2 not all in this process: one of its own ends only when its connections do.
          const here = protocol === 'http' || fault === 'kill' || fault === 'kill-after'
          const result = await run(words, { here })
          t.test(`${kind}: ${what}, ${protocol}`, async (t) => {
            t.equal(result.code, 1)
            t.equal(result.json.error?.code, code)
            t.match(told(result), says)
            t.notMatch(told(result), /bad ?nonce|TypeError|undefined|<h1>/i)
            const times = kind === 'challenge' ? 2 : 1
            const sent = ca.requests.filter((request) => request.kind === kind)
            t.equal(new Set(sent.map(({ path }) => path)).size, sent.length, 'no request was sent twice')
            t.ok(sent.length >= 1 && sent.length <= times)
            t.ok(isClean())
            const isPlaced = kind === 'challenge' || kind === 'finalize'
            t.equal(isKept(place), isPlaced, 'an order is kept where there is one')
            const isUnknown = kind === 'newOrder' && typeof fault === 'string'
            const ledger = kind === 'newAccount' ? undefined : isPlaced || isUnknown ? 1 : 0
            t.equal(countedOrders(place), ledger, 'and counted unless the CA said that there is none')
          })
        }),
      ),
    )
  }
})

t.test('the next run goes on with the order', async (t) => {
  const unavailable: CaReply = { status: 503, headers: { 'retry-after': '3600' } }
  const faults: readonly [Kind, CaFault][] = [
    ['challenge', 'kill-after'],
    ['finalize', problem(429, 'rateLimited', 'slowly')],
    ['certificate', unavailable],
  ]
  await Promise.all(
    faults.map(async ([kind, fault]) => {
      const { ca, run, place } = await setUp(t)
      ca.fail(kind, fault)
      const failed = await run([], { here: true })
      const [finalized, wasKept] = [ca.count('finalize'), isKept(place)]
      const next = await run([], { here: true })
      t.test(`${kind}, ${typeof fault === 'string' ? fault : fault.status}`, async (t) => {
        t.match(failed, { code: 1, json: { error: { code: 'CA_UNAVAILABLE' } } })
        t.ok(wasKept)
        succeeded(t, next)
        t.match(next.json.order, { placed: true })
        t.same([ca.count('newOrder'), ca.certificates.length], [1, 1], 'one order, one certificate')
        t.equal(ca.count('finalize') - finalized, kind === 'certificate' ? 0 : 1)
        t.notOk(isKept(place), 'and then it is over')
        t.equal(countedOrders(place), 1)
      })
    }),
  )
})

t.test('an answer that is none', async (t) => {
  for (const kind of ['newAccount', 'newOrder', 'authorization', 'order', 'finalize'] as const) {
    const { ca, run, isClean } = await setUp(t)
    ca.fail(kind, html(200), 20)
    const result = await run([], { here: true })
    t.test(kind, async (t) => {
      t.equal(result.code, 1)
      t.equal(result.json.error?.code, 'CA_REFUSED')
      t.notMatch(told(result), /undefined|cannot be reached|TypeError|INTERNAL/)
      t.ok(isClean())
    })
  }
})

t.test('what only looks is asked again', async (t) => {
  const looks = ['directory', 'newNonce', 'authorization', 'order', 'certificate'] as const
  const unavailable: CaReply = { status: 503, headers: { 'retry-after': '1' } }
  const faults: readonly [string, CaFault, 'http' | 'h2'][] = [
    ['503 with Retry-After', unavailable, 'http'],
    ['a 502 in HTML', html(502), 'h2'],
    ['429', problem(429, 'rateLimited', 'slowly'), 'http'],
    ['killed before', 'kill', 'http'],
    ['killed before', 'kill', 'h2'],
    ['killed behind', 'kill-after', 'http'],
  ]
  await Promise.all(
    faults.map(async ([what, fault, speaks]) => {
      const { ca, run } = await setUp(t, speaks)
      for (const kind of looks) ca.fail(kind, fault, 1)
      const result = await run([], { here: speaks === 'http' })
      t.test(`${what}, ${speaks}`, async (t) => {
        succeeded(t, result)
        for (const kind of looks) t.ok(ca.count(kind) >= 2, `${kind} was asked for ${ca.count(kind)} times`)
        for (const kind of ['newAccount', 'newOrder', 'finalize'] as const) t.equal(ca.count(kind), 1, kind)
        if (fault === unavailable) {
          for (const kind of ['directory', 'certificate'] as const) {
            const [first, second] = ca.requests.filter((request) => request.kind === kind)
            t.ok((second?.time ?? 0) - (first?.time ?? 0) >= 950, `${kind} was left alone for as long as it asked`)
          }
        }
      })
    }),
  )

  t.test('but not for ever', async (t) => {
    const { ca, run, isClean } = await setUp(t)
    ca.fail('order', { status: 503, headers: { 'retry-after': '3600' } }, 50)
    const result = await run()
    t.equal(result.code, 1)
    t.equal(result.json.error?.code, 'CA_UNAVAILABLE')
    t.equal(ca.count('order'), 1, 'an hour is more than --timeout')
    t.ok(isClean())
    const silent = await setUp(t)
    silent.ca.fail('order', 'hang', 50)
    t.match(await silent.run(['--timeout', '3']), { code: 1, json: { error: { code: 'CA_UNAVAILABLE' } } })
    t.ok(silent.isClean())
  })

  t.test('and not where it is no use', async (t) => {
    for (const kind of ['directory', 'newNonce', 'authorization', 'certificate'] as const) {
      const { ca, run } = await setUp(t)
      ca.fail(kind, problem(403, 'unauthorized', 'not for you'), 50)
      const result = await run([], { here: true })
      t.match(result, { code: 1, json: { error: { code: 'CA_REFUSED' } } }, kind)
      // The answer to a HEAD has no body to say why.
      t.match(result.json.error?.message, kind === 'newNonce' ? /HTTP 403/ : /unauthorized \(not for you\)/)
      t.ok(ca.count(kind) <= 3, `${kind} was asked for ${ca.count(kind)} times`)
    }
  })
})

t.test('nonces', async (t) => {
  t.test('only some answers bring one', async (t) => {
    const { ca, run } = await setUp(t)
    ca.manners.withoutNonce = new Set<Kind>(['newAccount', 'newOrder', 'authorization', 'challenge', 'finalize'])
    t.equal((await run()).code, 0)
  })

  t.test('where there is none to be had', async (t) => {
    const { ca, run } = await setUp(t)
    ca.manners.withoutNonce = new Set<Kind>(['newNonce'])
    const result = await run()
    t.match(result, { code: 1, json: { error: { code: 'CA_REFUSED', message: /no nonce/ } } })
    t.equal(ca.count('newAccount'), 0)
  })

  t.test('a bad one is replaced, as often as need be', async (t) => {
    const { ca, run } = await setUp(t)
    const kinds = ['newAccount', 'newOrder', 'authorization', 'challenge', 'order', 'finalize'] as const
    for (const kind of kinds) ca.fail(kind, problem(400, 'badNonce', 'stale'), 7)
    succeeded(t, await run())
    // The stub takes each nonce once. Were one used twice, one of these would be more.
    for (const kind of kinds) t.equal(ca.count(kind), kind === 'authorization' || kind === 'challenge' ? 9 : 8, kind)
  })

  t.test('but not without end', async (t) => {
    const { ca, run } = await setUp(t)
    ca.fail('newOrder', problem(400, 'badNonce', 'stale'), 1000)
    const result = await run()
    t.match(result, { code: 1, json: { error: { code: 'CA_UNAVAILABLE', vendor: { code: 'badNonce' } } } })
    t.ok(ca.count('newOrder') < 50, `${ca.count('newOrder')} times`)
  })
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))
