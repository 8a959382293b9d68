package org.json

class JSONArray {
    fun length(): Int = TODO()
    fun getString(index: Int): String = TODO()
    fun getInt(index: Int): Int = TODO()
    fun getDouble(index: Int): Double = TODO()
}

class JSONObject(json: String) {
    fun getString(name: String): String = TODO()
    fun getBoolean(name: String): Boolean = TODO()
    fun getDouble(name: String): Double = TODO()
    fun getJSONArray(name: String): JSONArray = TODO()
    fun getJSONObject(name: String): JSONObject = TODO()
    fun opt(name: String): Any? = TODO()
    fun optJSONArray(name: String): JSONArray? = TODO()
    fun optJSONObject(name: String): JSONObject? = TODO()
}
