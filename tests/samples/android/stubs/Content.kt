package android.content

import java.io.InputStream

class AssetManager { fun open(fileName: String): InputStream = TODO() }

abstract class Context { val assets: AssetManager get() = TODO() }
