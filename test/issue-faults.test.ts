import t from 'tap'
import { openWorkplace, testOutput } from './issue-command.js'
import { startStubCa } from './stub-ca.js'

t.test('x', async (t) => {
  for (const speaks of ['http', 'https', 'h2'] as const) {
    const ca = await startStubCa(t, speaks)
    const place = await openWorkplace(t)
    const { writeFileSync, mkdirSync } = await import('node:fs')
    mkdirSync(`${place.folder}/web`)
    writeFileSync(`${place.folder}/ca.pem`, ca.caPem)
    const trust = speaks === 'http' ? [] : ['--ca-bundle', `${place.folder}/ca.pem`]
    const result = await place.run([
      '-d',
      'a.example.com',
      '-d',
      'b.example.com',
      '--ca',
      ca.directoryUrl,
      ...trust,
      '--agree-tos',
      '--webroot',
      `${place.folder}/web`,
      ...place.toFolder,
    ])
    console.log(
      result.stdout,
      result.stderr,
      ca.connections,
      ca.requests.map((r) => `${r.connection} ${r.kind}`),
    )
    t.equal(result.code, 0)
  }
})
t.test('o', async (t) => testOutput(t))
