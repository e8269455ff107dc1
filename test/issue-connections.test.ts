// Issuing from a CA that misbehaves: where it is to be found, how it is reached, and what happens when one will not wait.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { findBelow, neverPrint, openWorkplace, testOutput } from './issue-command.js'
import { problem } from './stub-ca.js'
import { guarded, setUp, standard, succeeded, type Trial, until } from './stub-trial.js'

/** What only prepares, or is one of many alike, is called in this process. */
const here = { here: true }

t.test('directories', async (t) => {
  t.test('that are none', async (t) => {
    const bodies = ['<html>', '[]', '"text"', 'null', '{}', '{"newNonce":1,"newAccount":"x","newOrder":"y"}']
    for (const body of bodies) {
      const { ca, run } = await setUp(t)
      ca.manners.amend = (reply, kind) => (kind === 'directory' ? { ...reply, body } : reply)
      const { code, json } = await run([], here)
      t.equal(code, 1, body)
      t.match(json.error, { code: 'CA_REFUSED', message: /not an ACME directory/, hint: /--ca/ })
      t.equal(ca.requests.filter(({ method }) => method === 'POST').length, 0)
    }
  })

  t.test('kept, and used again', async (t) => {
    const { ca, run } = await setUp(t)
    t.equal((await run([], here)).code, 0)
    t.equal((await run(['--force-renewal'])).code, 0)
    t.equal(ca.count('directory'), 1)
    t.equal(ca.count('newAccount'), 1)
  })

  t.test('kept, but the CA has moved', async (t) => {
    const { ca, run } = await setUp(t)
    t.equal((await run([], here)).code, 0)
    ca.move()
    // The account has moved with it, to a URL that only a registration tells.
    const result = await run(['--force-renewal'])
    succeeded(t, result)
    t.equal(ca.count('directory'), 2)
    t.ok(ca.count('unknown') <= 3, `what is not there was asked for ${ca.count('unknown')} times`)
    t.equal((await run(['--force-renewal'])).code, 0)
    t.equal(ca.count('directory'), 2, 'the new one is kept')
  })

  t.test('kept, but its URLs lead nowhere at all', async (t) => {
    const nowhere = await closedPort()
    for (const damage of [
      (kept: string, origin: string) => kept.replaceAll(origin, `http://127.0.0.1:${nowhere}`),
      (kept: string) => kept.replaceAll(/"new\w+": "[^"]+"/g, '"x": "y"').replaceAll(/,\s*"x": "y"/g, ''),
      () => '{"fetchedAt":',
    ]) {
      const { ca, run, place } = await setUp(t)
      t.equal((await run([], here)).code, 0)
      const file = findBelow(place.state, 'directory.json')
      writeFileSync(file, damage(readFileSync(file, 'utf8'), ca.directoryUrl.replace('/dir', '')))
      const result = await run(['--force-renewal', '--timeout', '3'])
      succeeded(t, result)
      t.equal(ca.count('directory'), 2)
    }
  })

  t.test('kept: a refusal is not mistaken for a CA that moved', async (t) => {
    const { ca, run } = await setUp(t)
    t.equal((await run([], here)).code, 0)
    const before = ca.count('newOrder')
    ca.fail('newOrder', problem(403, 'rejectedIdentifier', 'never'), 5)
    const result = await run(['--force-renewal'])
    t.match(result, { code: 1, json: { error: { code: 'CA_REFUSED', vendor: { code: 'rejectedIdentifier' } } } })
    t.equal(ca.count('newOrder') - before, 1, 'one order was asked for')
  })
})

t.test('the account is gone', async (t) => {
  const { ca, run } = await setUp(t)
  t.equal((await run([], here)).code, 0)
  ca.forget()
  const before = ca.count('newOrder')
  t.equal((await run(['--force-renewal'])).code, 0)
  t.equal(ca.count('newAccount'), 2)
  t.equal(ca.count('newOrder') - before, 2, 'refused, then taken')
})

t.test('connections', async (t) => {
  t.test('a CA that speaks HTTP/1.1 only', async (t) => {
    const { ca, run } = await setUp(t, 'https')
    t.equal((await run()).code, 0)
    t.ok(ca.connections <= 8, `${ca.connections} connections`)
  })

  t.test('one for everything, by HTTP/2', async (t) => {
    const { ca, run } = await setUp(t, 'h2')
    const names = Array.from({ length: 30 }, (_, i) => ['-d', `n${i}.example.com`]).flat()
    t.equal((await run(names)).code, 0)
    t.equal(ca.connections, 1)
  })

  t.test('that end between two requests', async (t) => {
    const cases = [
      ['h2', 'goaway'],
      ['h2', 'silently'],
      ['https', 'silently'],
      ['http', 'silently'],
    ] as const
    await Promise.all(
      cases.map(async ([speaks, how]) => {
        const { ca, run } = await setUp(t, speaks)
        ca.manners.endsAfter = { kind: 'authorization', how }
        // Nothing is asked while this runs, so that the end can be noticed.
        const slowly = ['--solver', 'exec', '--challenge', 'http-01', '--exec-auth', 'sleep 0.4']
        const result = await run(slowly)
        succeeded(t, result, `${speaks}, ${how}`)
        t.equal(ca.count('challenge'), 2)
        t.ok(ca.connections >= 2)
      }),
    )
  })

  t.test('that are never answered', async (t) => {
    const sockets = new Set<Socket>()
    const silent = createServer((socket) => sockets.add(socket.on('error', () => undefined)))
    t.teardown(() => {
      silent.close()
      for (const socket of sockets) socket.destroy()
    })
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as AddressInfo
    const place = await openWorkplace(t)
    const words = [...standard, '--ca', `https://localhost:${port}/dir`, '--webroot', place.folder, ...place.toFolder]

    t.test('end with --timeout', async (t) => {
      const { code, json } = await place.run([...words, '--timeout', '1'], { onStart: guarded() })
      t.equal(code, 1)
      t.match(json.error, { code: 'CA_UNAVAILABLE', message: /no answer in time/ })
    })

    t.test('nor is what was asked over one that is good', async (t) => {
      for (const speaks of ['http', 'h2'] as const) {
        const { ca, run } = await setUp(t, speaks)
        ca.fail('directory', 'hang', 50)
        const { code, json } = await run(['--timeout', '2'])
        t.equal(code, 1)
        t.match(json.error, { code: 'CA_UNAVAILABLE', message: /^reading the directory .* \(no answer in time\)$/ })
      }
    })

    t.test('and with SIGINT', async (t) => {
      const result = await place.run(words, {
        onStart: guarded((child) => {
          const before = sockets.size
          void until(() => sockets.size > before).then(() => setTimeout(() => child.kill('SIGINT'), 500))
        }),
      })
      t.match(result, { code: 1, json: { error: { code: 'INTERRUPTED' } } })
    })
  })

  t.test('to nobody', async (t) => {
    const place = await openWorkplace(t)
    const ca = `https://localhost:${await closedPort()}/dir`
    const words = [...standard, '--ca', ca, '--webroot', place.folder, ...place.toFolder, '--timeout', '1']
    const { code, json } = await place.run(words)
    t.equal(code, 1)
    t.match(json.error, { code: 'CA_UNAVAILABLE', message: /ECONNREFUSED/ })
  })

  t.test('to somebody who is not trusted', async (t) => {
    for (const speaks of ['https', 'h2'] as const) {
      const { ca, place } = await setUp(t, speaks)
      const words = [...standard, '--ca', ca.directoryUrl, '--webroot', place.folder, ...place.toFolder]
      const { code, json } = await place.run(words)
      t.equal(code, 1)
      t.match(json.error, { code: 'CA_UNAVAILABLE', message: /CERT|SELF_SIGNED|VERIFY/, hint: /--ca-bundle/ })
      t.ok(ca.connections <= 2, 'it was not tried again and again')
      t.equal(ca.requests.length, 0)
    }
  })
})

t.test('an interruption while the CA takes its time', async (t) => {
  const waiting = async (more: readonly string[], signal: NodeJS.Signals, prepare = async (_: Trial) => {}) => {
    const trial = await setUp(t)
    await prepare(trial)
    trial.ca.manners.pendingLooks = Number.POSITIVE_INFINITY
    let inPlace: string[] = []
    let asked = 0
    const result = await trial.run(more, {
      onStart: guarded((child) => {
        void until(() => trial.ca.count('order') > 1).then(() => {
          inPlace = readdirSync(trial.web, { recursive: true, encoding: 'utf8' })
          asked = performance.now()
          child.kill(signal)
        })
      }),
    })
    return { ...trial, result, inPlace, took: performance.now() - asked }
  }

  t.test('webroot', async (t) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const { result, inPlace, took, isClean, ca } = await waiting([], signal)
      t.equal(inPlace.filter((name) => name.includes('token')).length, 2, 'the answers were there')
      t.match(result, { code: 1, signal: null, json: { error: { code: 'INTERRUPTED' } } })
      t.ok(result.json.error?.hint)
      t.ok(took < 15_000, `soon: ${Math.round(took)} ms`)
      t.ok(isClean(), 'and are gone')
      t.equal(ca.count('finalize'), 0)
    }
  })

  t.test('exec', async (t) => {
    const { result, place } = await waiting(
      [
        ...['--solver', 'exec', '--challenge', 'http-01', '--exec-auth', 'true'],
        ...['--exec-cleanup', `sh -c 'echo "$CERTBOT_DOMAIN" >> cleaned'`],
      ],
      'SIGINT',
    )
    t.match(result, { code: 1, json: { error: { code: 'INTERRUPTED' } } })
    t.same(readFileSync(join(place.folder, 'cleaned'), 'utf8').trim().split('\n').sort(), [
      'a.example.com',
      'b.example.com',
    ])
  })

  t.test('in the middle of --exec-auth', async (t) => {
    const trial = await setUp(t)
    const script = join(trial.place.folder, 'auth.sh')
    writeFileSync(script, 'echo "$CERTBOT_DOMAIN" >> begun\nsleep 30\necho late >> ended\n')
    const begun = join(trial.place.folder, 'begun')
    let asked = 0
    const result = await trial.run(
      [
        ...['--solver', 'exec', '--challenge', 'http-01', '--exec-auth', `sh '${script}'`],
        ...['--exec-cleanup', `sh -c 'echo "$CERTBOT_DOMAIN" >> cleaned'`],
      ],
      {
        onStart: guarded((child) => {
          void until(() => existsSync(begun)).then(() => {
            asked = performance.now()
            child.kill('SIGINT')
          })
        }),
      },
    )
    t.match(result, { code: 1, json: { error: { code: 'INTERRUPTED' } } })
    t.ok(performance.now() - asked < 20_000, `soon: ${Math.round(performance.now() - asked)} ms`)
    t.equal(readFileSync(begun, 'utf8'), 'a.example.com\n', 'the second was not begun')
    t.match(readFileSync(join(trial.place.folder, 'cleaned'), 'utf8'), /^a\.example\.com$/m)
    t.equal(trial.ca.count('challenge'), 0)
  })
})

t.test('an account binding', async (t) => {
  const { ca, run, place } = await setUp(t)
  const key = Buffer.from('0123456789abcdef0123456789abcdef').toString('base64url')
  neverPrint(key)
  const file = join(place.folder, 'eab.key')
  writeFileSync(file, `${key}\n`)
  t.equal((await run(['--eab-kid', 'kid-1', '--eab-hmac-key-file', file])).code, 0)
  const [account] = ca.requests.filter(({ kind }) => kind === 'newAccount')
  const payload = account?.payload as { readonly externalAccountBinding?: { readonly protected: string } } | undefined
  t.match(JSON.parse(Buffer.from(payload?.externalAccountBinding?.protected ?? '', 'base64url').toString()), {
    alg: 'HS256',
    kid: 'kid-1',
    url: /newAccount$/,
  })
})

const closedPort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

t.test('nothing was given away by any of this', async (t) => testOutput(t))
