// Issuing from a CA whose orders, authorizations and certificates are not as they should be.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { testOutput } from './issue-command.js'
import { problem } from './stub-ca.js'
import { setUp, succeeded, until } from './stub-trial.js'

/** Most of what a CA can get wrong is tried in this process; where a run is the only one of its kind it has one. */
const here = { here: true }

t.test('orders', async (t) => {
  t.test('ready at once: nothing is to be proven', async (t) => {
    const { ca, run, web } = await setUp(t)
    ca.manners.reuses = true
    const result = await run()
    t.match(result, { code: 0, json: { ok: true, order: { placed: true } } })
    t.equal(ca.count('challenge') + ca.count('authorization'), 0)
    t.same(readdirSync(web), [])
  })

  t.test('some names were proven before', async (t) => {
    const { ca, run, web } = await setUp(t)
    ca.manners.reusesPercent = 50
    t.equal((await run()).code, 0)
    t.equal(ca.count('challenge'), 2)
    const more = ['--force-renewal', '-d', 'c.example.com']
    succeeded(t, await run(more))
    t.equal(ca.count('challenge'), 4, 'one of the two, and the new one')
    t.same(readdirSync(web), [])
  })

  t.test('the CA is slow to look at the answers', async (t) => {
    const { ca, run, web } = await setUp(t)
    ca.manners.validationLooks = 3
    succeeded(t, await run())
    t.equal(ca.count('challenge'), 2, 'each was answered once')
    t.ok(ca.count('order') >= 3)
    t.equal(ca.count('finalize'), 1)
    t.same(readdirSync(web), [])
  })

  t.test('processing after it was finalized, then valid', async (t) => {
    const { ca, run } = await setUp(t)
    ca.manners.processingLooks = 3
    t.equal((await run()).code, 0)
    t.equal(ca.count('finalize'), 1)
    t.equal(ca.count('order'), 4, 'one for the names, three for the certificate')
  })

  t.test('Retry-After is waited for, in seconds and as a date', async (t) => {
    const pauses = async (look: 'pendingLooks' | 'processingLooks', header: () => string): Promise<number[]> => {
      const { ca, run } = await setUp(t)
      ca.manners[look] = 2
      ca.manners.amend = (reply, kind) =>
        kind === 'order' || kind === 'finalize'
          ? { ...reply, headers: { ...reply.headers, 'retry-after': header() } }
          : reply
      const result = await run([], here)
      succeeded(t, result)
      const from = look === 'pendingLooks' ? 'order' : 'finalize'
      const times = ca.requests.filter(({ kind }) => kind === 'order' || kind === from).map(({ time }) => time)
      const those = look === 'pendingLooks' ? times : times.slice(-3)
      return those.slice(1).map((time, i) => time - (those[i] ?? 0))
    }
    const inSeconds = () => '1'
    // A date has no fractions: what it asks for may be up to a second less.
    const asDate = () => new Date(Date.now() + 2000).toUTCString()
    const all = await Promise.all([
      pauses('pendingLooks', inSeconds),
      pauses('processingLooks', inSeconds),
      pauses('pendingLooks', asDate),
    ])
    for (const those of all) {
      t.equal(those.length, 2)
      for (const pause of those) t.ok(pause >= 990, `${Math.round(pause)} ms`)
    }
  })

  t.test('Retry-After: 0 is no leave to hammer', async (t) => {
    const { ca, run } = await setUp(t)
    ca.manners.pendingLooks = Number.POSITIVE_INFINITY
    ca.manners.amend = (reply, kind) =>
      kind === 'order' ? { ...reply, headers: { ...reply.headers, 'retry-after': '0' } } : reply
    let looks = 0
    await run([], {
      onStart: (child) => {
        void until(() => ca.count('order') > 0).then(() =>
          setTimeout(() => {
            looks = ca.count('order')
            child.kill('SIGINT')
          }, 1000),
        )
      },
    })
    t.ok(looks <= 20, `${looks} looks in a second`)
  })

  t.test('a CA that wants to be left alone for a day has failed', async (t) => {
    for (const look of ['pendingLooks', 'processingLooks'] as const) {
      const { ca, run } = await setUp(t)
      ca.manners[look] = 5
      ca.manners.amend = (reply, kind) =>
        kind === 'order' || kind === 'finalize'
          ? { ...reply, headers: { ...reply.headers, 'retry-after': '86400' } }
          : reply
      const result = await run([], here)
      t.match(result, { code: 1, json: { error: { code: 'CA_UNAVAILABLE' } } }, look)
      t.notMatch(result.json.error?.message, /after 10 minutes/, 'which have not gone by')
    }
  })

  t.test('invalid, with a reason', async (t) => {
    const { ca, run, isClean } = await setUp(t)
    const error = problem(403, 'caa', 'CAA record for b.example.com prevents issuance').body
    ca.manners.amend = (reply, kind) => {
      const body = reply.body as Record<string, unknown>
      return kind === 'order' ? { ...reply, body: { ...body, status: 'invalid', error } } : reply
    }
    const result = await run([], here)
    t.equal(result.code, 1)
    t.match(result.json.error, {
      code: 'CA_REFUSED',
      message: /CAA record for b\.example\.com/,
      vendor: { code: 'caa' },
    })
    t.equal(ca.count('finalize'), 0)
    t.ok(isClean())
  })

  t.test('invalid, and the authorizations say why', async (t) => {
    const { ca, run, isClean } = await setUp(t)
    const error = problem(403, 'compound', 'several', {
      subproblems: [
        { type: 'urn:ietf:params:acme:error:dns', detail: 'looking up A for b.example.com failed' },
        { type: 'urn:ietf:params:acme:error:caa', detail: 'CAA forbids' },
      ],
    }).body
    let isFailed = false
    ca.manners.amend = (reply, kind) => {
      const body = reply.body as { readonly challenges?: object[]; readonly identifier?: { readonly value: string } }
      if (kind === 'order') {
        isFailed = true
        return { ...reply, body: { ...body, status: 'invalid' } }
      }
      if (kind !== 'authorization' || !isFailed || body.identifier?.value !== 'b.example.com') return reply
      const challenges = body.challenges?.map((one, i) => (i === 0 ? { ...one, status: 'invalid', error } : one))
      return { ...reply, body: { ...body, status: 'invalid', challenges } }
    }
    const result = await run([], here)
    t.equal(result.code, 1)
    t.equal(result.json.error?.code, 'CHALLENGE_FAILED')
    t.match(result.json.error?.message, /^b\.example\.com: the http-01 challenge failed: compound/)
    t.match(result.json.error?.message, /looking up A for b\.example\.com failed/)
    t.match(result.json.error?.message, /CAA forbids/)
    t.ok(isClean())
  })

  t.test('invalid at once: it is not finalized', async (t) => {
    const { ca, run } = await setUp(t)
    ca.manners.amend = (reply, kind) =>
      kind === 'newOrder' ? { ...reply, body: { ...(reply.body as object), status: 'invalid' } } : reply
    t.match(await run([], here), { code: 1, json: { error: { code: 'CA_REFUSED', message: /invalid/ } } })
    t.equal(ca.count('finalize'), 0)
  })

  t.test('refused, with a reason for each name', async (t) => {
    const { ca, run } = await setUp(t)
    const of = (value: string, type: string, detail: string) => ({
      type: `urn:ietf:params:acme:error:${type}`,
      detail,
      identifier: { type: 'dns', value },
    })
    const subproblems = [
      of('a.example.com', 'rejectedIdentifier', 'is on the list'),
      of('b.example.com', 'rateLimited', 'has had enough'),
    ]
    ca.fail('newOrder', problem(403, 'rejectedIdentifier', 'some names were refused', { subproblems }))
    const { code, json } = await run([], here)
    t.equal(code, 1)
    t.match(json.error, { code: 'CA_REFUSED', vendor: { code: 'rejectedIdentifier' } })
    for (const words of ['some names were refused', 'a.example.com: is on the list', 'b.example.com: has had enough']) {
      t.ok(json.error?.message.includes(words), words)
    }
    t.ok(json.error?.hint)
  })
})

t.test('authorizations', async (t) => {
  t.test('without the challenge that is wanted', async (t) => {
    for (const more of [[], ['--solver', 'exec', '--challenge', 'http-01', '--exec-auth', 'true']]) {
      const { ca, run, isClean } = await setUp(t)
      ca.manners.offers = ['tls-alpn-01', 'dns-01']
      const { code, json, stderr } = await run(more, here)
      t.equal(code, 1)
      t.match(json.error, { code: 'CA_REFUSED', message: /does not offer http-01/, hint: /tls-alpn-01, dns-01/ })
      t.match(json.error?.message, /[ab]\.example\.com/)
      t.notMatch(stderr, /Error|node:internal/)
      t.equal(ca.count('challenge'), 0)
      t.ok(isClean())
    }
  })

  t.test('that are over already', async (t) => {
    const { ca, run, isClean } = await setUp(t)
    ca.manners.amend = (reply, kind) =>
      kind === 'authorization' ? { ...reply, body: { ...(reply.body as object), status: 'deactivated' } } : reply
    const { code, json } = await run([], here)
    t.equal(code, 1)
    t.match(json.error, { code: 'CA_REFUSED', message: /deactivated/ })
    t.ok(isClean())
  })

  t.test('a token that leads out of the folder', async (t) => {
    const { ca, run, place, isClean } = await setUp(t)
    ca.manners.amend = (reply, kind) => {
      if (kind !== 'authorization') return reply
      const body = reply.body as { readonly challenges: object[] }
      return {
        ...reply,
        body: { ...body, challenges: body.challenges.map((one) => ({ ...one, token: '../../evil' })) },
      }
    }
    const { code, json } = await run([], here)
    t.equal(code, 1)
    t.match(json.error, { code: 'CA_REFUSED', message: /token/ })
    t.notOk(existsSync(join(place.folder, 'web/evil')) || existsSync(join(place.folder, 'evil')))
    t.equal(ca.count('challenge'), 0)
    t.ok(isClean())
  })
})

t.test('what could not be taken away is not forgotten, whatever is ordered meanwhile', async (t) => {
  const trial = await setUp(t)
  const { ca, place } = trial
  const file = (name: string) => join(place.folder, name)
  writeFileSync(file('clean.sh'), `cd "${place.folder}"\n[ -e broken ] && exit 1\necho "$CERTBOT_TOKEN" >> cleaned\n`)
  writeFileSync(file('broken'), '')
  ca.manners.unprovable = { 'b.example.com': problem(403, 'unauthorized', 'not there') }
  const exec = ['--solver', 'exec', '--challenge', 'http-01', '--exec-auth', 'true']
  const words = [...exec, '--exec-cleanup', `sh '${file('clean.sh')}'`]
  for (const run of [1, 2])
    t.equal((await trial.run(words, { here: true })).json.error?.code, 'CHALLENGE_FAILED', `run ${run}`)
  rmSync(file('broken'))
  ca.manners.unprovable = {}
  succeeded(t, await trial.run(words))
  const tokens = readFileSync(file('cleaned'), 'utf8').trim().split('\n').sort()
  t.same(
    tokens,
    [0, 1, 2, 3, 4, 5].map((id) => `token-${id}-0-of-a-stub`),
    'of all three orders',
  )
})

t.test('a proof of a name that was not ordered', async (t) => {
  const { ca, run, place, isClean } = await setUp(t)
  ca.manners.amend = (reply, kind) => {
    if (kind !== 'authorization') return reply
    return { ...reply, body: { ...(reply.body as object), identifier: { type: 'dns', value: 'victim.example.org' } } }
  }
  const words = ['--solver', 'exec', '--challenge', 'http-01', '--exec-auth', `touch ${join(place.folder, 'called')}`]
  const { code, json } = await run(words)
  t.equal(code, 1)
  t.match(json.error, { code: 'CA_REFUSED', message: /victim\.example\.org, which was not ordered/ })
  t.notOk(existsSync(join(place.folder, 'called')))
  t.equal(ca.count('challenge'), 0)
  t.ok(isClean())
})

t.test('certificates that are not what was ordered', async (t) => {
  const cases = [
    ['without the last name', /without b\.example\.com/],
    ['for another key', /key/],
    ['an expired one', /expired/],
    ['nonsense', /certificate/],
  ] as const
  await Promise.all(
    cases.map(async ([issues, says]) => {
      const { ca, run, isClean, place } = await setUp(t)
      ca.manners.issues = issues
      const result = await run([], here)
      t.test(issues, async (t) => {
        t.equal(result.code, 1, 'the command line is not to blame')
        t.equal(result.json.error?.code, 'CA_REFUSED')
        t.match(result.json.error?.message, says)
        t.ok(isClean())
        t.notOk(existsSync(join(place.folder, 'out')), 'it was not deployed')
        ca.manners.issues = 'what was asked for'
        t.match(await run([], here), { code: 0, json: { order: { placed: true } } }, 'and not kept either')
      })
    }),
  )
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))
