import type { Permission } from '../aliyun/ram-policy.js'

export interface OssUse {
  readonly bucket: string
  /** As `keyPrefix` returns it. */
  readonly prefix: string
  readonly encryption: string | undefined
  readonly allowPublicBucket: boolean
  readonly verify: boolean
  /** Does another target of the deployment serve the bucket's objects under a domain, or may it? */
  readonly isOpened: boolean
}

/** The rights that the layout uses. */
export const ossPermissions = (use: OssUse): readonly Permission[] => {
  const bucket = `acs:oss:*:*:${use.bucket}`
  const objects = [`${bucket}/${use.prefix}*`]
  const mustProtect = use.isOpened && !use.allowPublicBucket
  return [
    { actions: ['oss:PutObject'], resources: objects, needed: true, why: 'writes the layout' },
    {
      actions: ['oss:PutObjectAcl'],
      resources: objects,
      needed: mustProtect,
      why: mustProtect
        ? 'keeps the private key from strangers although the bucket is served under a domain'
        : 'keeps the private key private by itself, whatever the bucket is',
    },
    {
      actions: ['oss:GetObject'],
      resources: objects,
      needed: false,
      why: 'leaves alone what is there already, and a newer certificate in latest/ (it can read the private key there, too)',
    },
    {
      actions: ['oss:GetBucketAcl', 'oss:GetBucketPolicyStatus'],
      resources: [bucket],
      needed: false,
      why: 'sees whether the bucket is public, where the private key cannot be protected by itself',
    },
    ...(use.verify
      ? [
          {
            actions: ['oss:ListCname'],
            resources: [bucket],
            needed: false,
            why: 'looks through the domains of the bucket, too, whether strangers can read what was written',
          },
        ]
      : []),
    ...(use.encryption === 'KMS'
      ? [
          {
            actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
            // OSS chooses the key; nobody here knows which one it is.
            resources: ['acs:kms:*:*:key/*'],
            needed: true,
            why: 'has the objects encrypted with a key of KMS (its id can stand in the place of the last star)',
          },
        ]
      : []),
  ]
}

/** The one right of those who use what lies in the layout; the private key is part of it. */
export const pullPermission = (bucket: string, prefix: string): Permission => ({
  actions: ['oss:GetObject'],
  resources: [`acs:oss:*:*:${bucket}/${prefix}*`],
  needed: true,
  why: 'reads the layout, the private key too',
})
